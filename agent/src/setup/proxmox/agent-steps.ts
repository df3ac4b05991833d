/** The steps on the agent's own machine: registration with its configuration, the service, the test provision. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { loadKeys } from '../../config/key-files.ts';
import { loadConfig } from '../../config/load-config.ts';
import { writeFileAtomically } from '../../lib/write-file.ts';
import { Registrar } from '../../coordinator-client/registrar.ts';
import type { ProxmoxOptions } from '../../provisioners/proxmox/proxmox-options.ts';
import { setUpAgent } from '../set-up-agent.ts';
import { readFingerprint, readGuests } from './host-facts.ts';
import { templateNameOf, tokenFileOf, type SetupContext } from './setup-context.ts';
import type { Action, Step } from './step.ts';
import { differingOptions, replaceOptions } from './update-config.ts';

/** SETUP_NAME_TAKEN where guests that are not the agent's have VMIDs in its range. */
export function vmidStep({ plan, pvesh }: SetupContext): Step {
  const { first, last } = plan.vmids;
  return {
    title: `VMIDs ${first} to ${last}`,
    async find() {
      const foreign = (await readGuests(pvesh)).filter(
        ({ vmid, pool }) => vmid >= first && vmid <= last && pool !== plan.pool,
      );
      if (foreign.length === 0) return { detail: 'no guest of anybody else has one', actions: [] };
      const names = foreign.slice(0, 5).map(({ vmid, name }) => `${vmid} (${name})`);
      throw new AppError('SETUP_NAME_TAKEN', `VMIDs of the agent's range are taken: ${names.join(', ')}.`, {
        remedy: 'Choose another range: --vmids FIRST-LAST.',
      });
    },
  };
}

/** The driver's options as they go into the configuration. */
export async function optionsOf({ plan, facts, pvesh }: SetupContext): Promise<ProxmoxOptions> {
  const local = facts.nodes.find(({ isLocal }) => isLocal)?.name ?? '';
  const pin =
    plan.certificateFile === null
      ? { fingerprint: await readFingerprint(pvesh, local) }
      : { certificate_file: plan.certificateFile };
  return {
    url: plan.apiUrl,
    token_file: tokenFileOf(plan),
    ...pin,
    pool: plan.pool,
    vmid_first: plan.vmids.first,
    vmid_last: plan.vmids.last,
    nodes: [...plan.nodes],
    templates: Object.fromEntries(plan.systems.map((system) => [system, templateNameOf(plan, system)])),
    storage: plan.storage,
    bridge: plan.bridge,
    ...(plan.addresses === null ? {} : { addresses: plan.addresses }),
    ...(plan.guestSshPort === null ? {} : { ssh_port: plan.guestSshPort }),
    ...(plan.guestNetworks.length === 0 ? {} : { guest_networks: [...plan.guestNetworks] }),
  };
}

/** Spends the setup token, when everything before has passed, and writes keys and configuration. */
export function registerStep(context: SetupContext, readToken: () => Promise<string>): Step {
  const { plan, clock, random, signal } = context;
  return {
    title: 'Registration',
    async find() {
      if (existsSync(plan.output)) {
        const { keyDir, provisioner } = await loadConfig(plan.output);
        const { publicKey } = loadKeys(keyDir).agentKey;
        const detail = `${plan.output} is there; its agent is ${publicKey}`;
        if (provisioner.kind !== 'proxmox')
          throw new AppError(
            'SETUP_NAME_TAKEN',
            `${plan.output} is the configuration of a ${provisioner.kind} agent.`,
            {
              remedy: 'Give another --output and --state-dir.',
            },
          );
        const wanted: Readonly<Record<string, unknown>> = { ...(await optionsOf(context)) };
        const keys = differingOptions({ ...provisioner.options }, wanted);
        if (keys.length === 0) return { detail, actions: [] };
        return { detail: `${keys.join(', ')} stand otherwise in it`, actions: [change(keys, wanted)] };
      }
      const line = `register at ${plan.coordinatorUrl} with the setup token; write keys, and ${plan.output}`;
      return { detail: 'not yet', actions: [{ line, run: register }] };
    },
  };

  function change(keys: readonly string[], wanted: Readonly<Record<string, unknown>>): Action {
    return {
      line: `write ${keys.join(', ')} into ${plan.output}; dc-agent has to be started again then`,
      run() {
        const text = replaceOptions(readFileSync(plan.output, 'utf8'), { keys, wanted });
        writeFileAtomically(plan.output, text);
        return Promise.resolve();
      },
    };
  }

  async function register(): Promise<void> {
    const registrar = new Registrar({ url: plan.coordinatorUrl, clock, random });
    const answers = {
      token: await readToken(),
      coordinatorUrl: plan.coordinatorUrl,
      output: plan.output,
      keyDir: plan.keyDir,
      stateDir: plan.stateDir,
      provisioner: 'proxmox',
      provisionerOptions: { ...(await optionsOf(context)) },
      label: plan.label,
      isDryRun: false,
    };
    try {
      await setUpAgent(answers, { registrar, clock, random, signal, onStep: () => undefined });
    } finally {
      await registrar.close();
    }
  }
}

/** What the service starts, and where its unit goes. */
export interface ServicePlace {
  /** What systemd starts: the program and what comes before `run`. */
  readonly program: readonly string[];
  /** Where units go. */
  readonly unitDir: string;
}

const USER = 'dc-agent';
const UNIT = 'dc-agent.service';

/** The unit as it is shipped, for this place. Exported for its test. */
export function renderUnit(shipped: string, program: readonly string[], plan: SetupContext['plan']): string {
  const isUsual = plan.output === '/etc/dc-agent/dc-agent.toml' && plan.stateDir === '/var/lib/dc-agent';
  const config = isUsual ? [] : ['--config', plan.output];
  const lines = shipped.replace(/^ExecStart=.*$/m, `ExecStart=${[...program, 'run', ...config].join(' ')}`);
  return isUsual ? lines : lines.replace(/^ProtectSystem=strict$/m, `$&\nReadWritePaths=${plan.stateDir}`);
}

/** The unit's text: beside the sources, or in the release. */
function shippedUnit(): string {
  const here = import.meta.dirname;
  const places = [join(here, '../../../../systemd', UNIT), join(here, '../systemd', UNIT)];
  const found = places.find((place) => existsSync(place));
  if (found === undefined)
    throw new AppError('SETUP_STEP_FAILED', `${UNIT} is missing in this installation.`);
  return readFileSync(found, 'utf8');
}

/** A user of its own, its files its own, and the hardened unit. */
export function serviceStep(context: SetupContext, { program, unitDir }: ServicePlace): Step {
  const { here, plan, signal } = context;
  const unitFile = join(unitDir, UNIT);
  const succeeds = async (...argv: [string, ...string[]]): Promise<boolean> =>
    (await here.run({ argv }, signal)).exitCode === 0;
  const act = (argv: [string, ...string[]], input?: string) => ({
    line: argv.join(' '),
    async run() {
      const { exitCode, stderr } = await here.run(
        { argv, ...(input === undefined ? {} : { input }) },
        signal,
      );
      if (exitCode !== 0) throw new AppError('SETUP_STEP_FAILED', `${argv[0]} failed: ${stderr.trim()}`);
    },
  });
  return {
    title: 'Service',
    async find() {
      if ((await here.run({ argv: ['id', '-u'] }, signal)).stdout.trim() !== '0')
        return {
          detail: 'not installed: only root can. Run dc-agent run yourself, or this again as root',
          actions: [],
        };
      const hidden = program.find((part) => /^\/(root|home)\//.test(part));
      if (hidden !== undefined)
        throw new AppError(
          'SETUP_HOST_UNSUITABLE',
          `The service could not see ${hidden}: it sees nobody's home.`,
          {
            remedy:
              'Put dc-agent below /usr/local/lib, and run the set-up from there. Or leave it out: --no-service.',
          },
        );
      const unit = renderUnit(shippedUnit(), program, plan);
      const actions = [];
      if (!(await succeeds('getent', 'passwd', USER)))
        actions.push(
          act([
            'useradd',
            '--system',
            '--user-group',
            '--no-create-home',
            '--shell',
            '/usr/sbin/nologin',
            USER,
          ]),
        );
      const folders = [...new Set([dirname(plan.output), plan.keyDir, plan.stateDir])];
      const strangers = await here.run(
        { argv: ['find', ...folders, '!', '-user', USER, '-print', '-quit'] },
        signal,
      );
      if (strangers.exitCode !== 0 || strangers.stdout.trim() !== '')
        actions.push(
          act(['mkdir', '-p', '-m', '700', ...folders]),
          act(['chown', '-R', `${USER}:${USER}`, ...folders]),
        );
      if (!existsSync(unitFile) || readFileSync(unitFile, 'utf8') !== unit)
        actions.push(act(['tee', unitFile], unit), act(['systemctl', 'daemon-reload']));
      if (actions.length > 0 || !(await succeeds('systemctl', 'is-active', '--quiet', UNIT)))
        actions.push(act(['systemctl', 'enable', UNIT]), act(['systemctl', 'restart', UNIT]));
      return { detail: `${UNIT} runs as ${USER}`, actions };
    },
  };
}
