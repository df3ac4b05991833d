import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load-config.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { diskName } from '../../pve-sim/cluster/volumes.ts';
import { SimulatedGuests } from '../../pve-sim/guests/simulated-guests.ts';
import type { PveSimulatorOptions } from '../../pve-sim/simulator-options.ts';
import { QUESTIONS, type Question } from './answers.ts';
import type { Host, HostCommand } from './host.ts';
import { provisionOnce } from './provision-once.ts';
import { TestSigner } from './testing/image-server.ts';
import { ProxmoxSetup } from './testing/proxmox-setup.ts';

let signer: TestSigner;
let setup: ProxmoxSetup | undefined;
beforeAll(() => {
  signer = new TestSigner('A distribution');
});
afterAll(() => signer.dispose());
afterEach(async () => {
  await setup?.dispose();
  setup = undefined;
});

async function make(options: Partial<PveSimulatorOptions> = {}): Promise<ProxmoxSetup> {
  setup = await ProxmoxSetup.make(signer, options);
  return setup;
}

const CHANGING = /^(pvesh (create|set|delete)|pvesm free|genisoimage|tee|mkdir|rm) /;
const changes = ({ host }: ProxmoxSetup): string[] => host.commands.filter((line) => CHANGING.test(line));

/** Everything on the cluster that set-up could touch. */
function clusterState({ simulator }: ProxmoxSetup): string {
  const { access, pools, vms } = simulator.control.cluster;
  return JSON.stringify({
    roles: [...access.roles].map(([name, privileges]) => [name, [...privileges]]),
    users: [...access.users.values()].map(({ userid, tokens }) => [userid, [...tokens.keys()]]),
    acl: access.acl,
    pools: [...pools.keys()],
    vms: [...vms.values()].map(({ vmid, config }) => [vmid, [...config]]),
  });
}

describe.each(['7.4', '8.4', '9.1'])('setting up Proxmox VE %s', (version) => {
  it('ends with an agent whose token may do what the driver needs and no more', async () => {
    const made = await make({ version });
    expect(await made.run()).toBe(true);
    const { access } = made.simulator.control.cluster;
    expect(access.users.get('dc-agent@pve')).toMatchObject({ password: undefined });
    expect(access.users.get('dc-agent@pve')?.tokens.get('dc-agent')).toMatchObject({ privsep: true });
    const pool = access.permissions('dc-agent@pve!dc-agent', '/pool/dc-agent');
    expect([...pool.keys()].sort()).toEqual([...(access.roles.get('DcAgentPool') ?? [])].sort());
    expect(pool.has('VM.Monitor')).toBe(version !== '9.1');
    expect(access.permissions('dc-agent@pve!dc-agent', '/vms/100').has('VM.PowerMgmt')).toBe(false);

    expect(statSync(made.output).mode & 0o777).toBe(0o600);
    expect(statSync(made.settings.keyDir).mode & 0o777).toBe(0o700);
    expect(statSync(`${made.settings.keyDir}/proxmox.token`).mode & 0o777).toBe(0o600);
    expect(made.config).not.toContain(readFileSync(`${made.settings.keyDir}/proxmox.token`, 'utf8').trim());

    const stages: string[] = [];
    const ports = { clock: systemClock, random: systemRandom };
    await provisionOnce(made.output, { ...ports, onStage: ({ name }) => void stages.push(name) });
    expect(stages).toContain('proof of absence');
    expect(made.simulator.observer.problems).toEqual([]);
  });
});

describe('a template', () => {
  it('has nothing of a machine left, and what the driver looks for', async () => {
    const made = await make();
    await made.run();
    const { guests, storages, vms } = made.simulator.control.cluster;
    const template = vms.get(9_000)!;
    expect(template).toMatchObject({ isTemplate: true, isRunning: false, pool: 'dc-agent-templates' });
    expect(Object.fromEntries(template.config)).toMatchObject({
      name: 'dc-debian-12',
      agent: '1',
      cpu: 'host',
      ide2: expect.stringContaining('cloudinit') as string,
    });
    expect(template.config.has('ide3')).toBe(false);
    const volume = storages.volume(template.bootDisk()![1].volume, 'pve1')!;
    if (!(guests instanceof SimulatedGuests)) throw new Error('other guests');
    const disk = guests.diskOf(diskName(volume))!;
    expect(disk.read('/etc/machine-id')).toBe('');
    expect([...disk.files.keys()].filter((file) => file.includes('ssh_host'))).toEqual([]);
    expect(storages.volumes(storages.find('local')!, 'pve1')).toEqual([]);
  });

  it('is made on every node, there by the SSH between the nodes', async () => {
    const made = await make({ nodes: 2 });
    await made.run();
    const templates = [...made.simulator.control.cluster.vms.values()].filter((vm) => vm.isTemplate);
    expect(templates.map(({ node, config }) => [node, config.get('name')])).toEqual([
      ['pve1', 'dc-debian-12'],
      ['pve2', 'dc-debian-12'],
    ]);
    expect(made.host.commands.join('\n')).toMatch(/^ssh -o BatchMode=yes -o HostKeyAlias=pve2 root@192/m);
    expect(made.images.asked.filter((name) => name === 'SHA256SUMS.gpg')).toEqual(['SHA256SUMS.gpg']);
  });

  it('installs the guest agent at its first boot, by a seed that lets nobody in', async () => {
    const made = await make();
    await made.run();
    const [seed = ''] = [...made.host.written].flatMap(([file, text]) =>
      file.endsWith('user-data') ? [text] : [],
    );
    expect(seed).toMatch(/^#cloud-config\nusers: \[\]\n/);
    expect(seed).toContain('packages: [qemu-guest-agent]');
  });
});

describe('where the agent runs on the host', () => {
  it('the certificate itself is pinned, by its copy, and followed', async () => {
    const made = await make();
    const certificateFile = `${made.folder}/pve.pem`;
    writeFileSync(certificateFile, made.simulator.certPem);
    await made.run({ settings: { ...made.settings, certificateFile } });
    expect(made.config).toContain(`\ncertificate_file = "${certificateFile}"\n`);
    expect(made.config).toContain('\n# fingerprint =\n');
    made.simulator.control.renewCertificate();
    writeFileSync(certificateFile, made.simulator.certPem);
    const ports = { clock: systemClock, random: systemRandom, onStage: () => undefined };
    await expect(provisionOnce(made.output, ports)).resolves.toBeUndefined();
  });
});

describe('a second agent of the same cluster', () => {
  it('has a pool and a token of its own, and shares the templates', async () => {
    const made = await make();
    await made.run();
    const first = made.config;
    const other = join(made.folder, 'other');
    const settings = {
      ...made.settings,
      ...{
        pool: 'second',
        output: join(other, 'dc-agent.toml'),
        keyDir: join(other, 'keys'),
        stateDir: other,
      },
    };
    await made.run({ settings, flags: made.flags({ vmids: '30000-30099' }) });
    const { access, vms } = made.simulator.control.cluster;
    expect([...vms.values()].filter((vm) => vm.isTemplate)).toHaveLength(1);
    expect(access.permissions('dc-agent@pve!second', '/pool/dc-agent').size).toBe(0);
    expect(access.permissions('dc-agent@pve!second', '/pool/second').has('VM.Allocate')).toBe(true);
    const ports = { clock: systemClock, random: systemRandom, onStage: () => undefined };
    await expect(provisionOnce(settings.output, ports)).resolves.toBeUndefined();
    expect(made.config).toBe(first);
  });
});

describe('a range of addresses', () => {
  it('goes into the configuration, and into the seed of a first boot, which has no DHCP either', async () => {
    const made = await make();
    const addresses = '127.64.9.10-127.64.9.20/10,127.64.0.1';
    await made.run({ flags: made.flags({ addresses }) });
    expect(made.config).toContain(
      '\naddresses = { "first" = "127.64.9.10", "last" = "127.64.9.20", "prefix" = 10, "gateway" = "127.64.0.1" }\n',
    );
    const [seed = ''] = [...made.host.written].flatMap(([file, text]) =>
      file.endsWith('network-config') ? [text] : [],
    );
    expect(seed).toContain('addresses: [127.64.9.20/10]\n    routes: [{to: 0.0.0.0/0, via: 127.64.0.1}]');
    const ports = { clock: systemClock, random: systemRandom, onStage: () => undefined };
    await expect(provisionOnce(made.output, ports)).resolves.toBeUndefined();
  });
});

describe('running it again', () => {
  it('changes nothing when everything is done', async () => {
    const made = await make();
    await made.run();
    const [before, config] = [clusterState(made), made.config];
    made.host.commands.splice(0);
    await made.run();
    expect([changes(made), clusterState(made), made.config]).toEqual([[], before, config]);
    expect(made.coordinator.registrations).toHaveLength(1);
  });

  it('makes a new token where the secret was lost, and mends a role that was changed', async () => {
    const made = await make();
    await made.run();
    const { access } = made.simulator.control.cluster;
    access.roles.set('DcAgentPool', new Set(['VM.Audit']));
    access.users.get('dc-agent@pve')!.tokens.get('dc-agent')!.secret = 'another';
    await made.run();
    expect(access.roles.get('DcAgentPool')).toContain('VM.Allocate');
    const secret = access.users.get('dc-agent@pve')!.tokens.get('dc-agent')!.secret;
    expect(readFileSync(`${made.settings.keyDir}/proxmox.token`, 'utf8')).toBe(
      `dc-agent@pve!dc-agent=${secret}\n`,
    );
  });

  it('with other answers, or after a renewal of the certificate, changes these lines and no others', async () => {
    const made = await make({ nodes: [{ name: 'pve1', bridges: ['vmbr0', 'vmbr1'] }] });
    await made.run();
    writeFileSync(made.output, made.config.replace('# parallel = 8', 'parallel = 3 # mine'));
    const before = made.config.split('\n');
    const old = made.simulator.fingerprint;
    made.simulator.control.renewCertificate();
    await made.run({ flags: made.flags({ bridge: 'vmbr1' }) });
    const after = made.config.split('\n').filter((line, index) => line !== before[index]);
    expect(old).not.toBe(made.simulator.fingerprint);
    expect(after).toEqual([`fingerprint = "${made.simulator.fingerprint}"`, 'bridge = "vmbr1"']);
    await expect(loadConfig(made.output)).resolves.toMatchObject({ limits: { parallel: 3 } });
  });

  it('shows in a dry run every command, and does none of them', async () => {
    const made = await make({ nodes: 2 });
    const before = clusterState(made);
    expect(await made.run({ isDryRun: true })).toBe(false);
    const planned = made.said.filter((line) => CHANGING.test(line));
    expect([changes(made), clusterState(made), existsSync(made.output)]).toEqual([[], before, false]);
    expect(existsSync(made.settings.keyDir)).toBe(false);
    made.said.splice(0);
    await made.run();
    const done = made.said.flatMap((line) => /^do [^:]+: (.*)$/.exec(line)?.[1] ?? []);
    expect(done.filter((line) => CHANGING.test(line))).toEqual(planned);
    expect(planned.length).toBeGreaterThan(20);
  });

  it('goes on after a kill at any command, whether it was carried out or not', async () => {
    const made = await make();
    const token = made.coordinator.grant();
    let runs = 0;
    for (let limit = 1; ; limit++) {
      let count = 0;
      const host: Host = {
        run: async (command: HostCommand) => {
          const isChange = CHANGING.test(command.argv.join(' '));
          if (isChange) count += 1;
          if (isChange && count === limit && limit % 2 === 0) throw new Error('killed before');
          const result = await made.host.run(command);
          if (isChange && count === limit) throw new Error('killed after');
          return result;
        },
      };
      runs += 1;
      try {
        expect(await made.run({}, { host, readToken: () => Promise.resolve(token) })).toBe(true);
        break;
      } catch (error) {
        expect(String(error)).toMatch(/killed/);
        expect(made.coordinator.registrations).toEqual([]);
      }
    }
    expect(runs).toBeGreaterThan(10);
    const { vms } = made.simulator.control.cluster;
    expect([...vms.values()].map(({ vmid, isTemplate }) => [vmid, isTemplate])).toEqual([[9_000, true]]);
    expect(made.coordinator.registrations).toHaveLength(1);
  }, 60_000);
});

describe('the questions', () => {
  it('can be left at any of them, and go on there; the configuration is that of the flags', async () => {
    const made = await make({ nodes: 2 });
    const answers: Record<string, string> = { ...made.flags() };
    const asked: string[] = [];
    for (let left = 0; ; left++) {
      let count = 0;
      const asker = {
        ask: ({ id }: Question) => {
          if (++count > 1) return Promise.reject(new Error('killed'));
          asked.push(id);
          return Promise.resolve(answers[id]!);
        },
      };
      const done = await made.run({ flags: {} }, { asker }).catch((error: unknown) => String(error));
      if (done === true) break;
      expect([done, left < 8]).toEqual(['Error: killed', true]);
    }
    expect(asked).toEqual(['nodes', 'storage', 'bridge', 'addresses', 'systems', 'vmids', 'coordinator']);
    const byQuestions = made.config;

    const byFlags = await ProxmoxSetup.make(signer, { nodes: 2 });
    try {
      await byFlags.run();
      expect(normalized(byFlags)).toBe(normalized(made));
      expect(byQuestions).toBe(made.config);
    } finally {
      await byFlags.dispose();
    }
  });

  it('stand in README as they are asked', () => {
    const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');
    const shown = [...readme.matchAll(/^◇ {2}(.*)$/gm)].map(([, message]) => message);
    expect(shown).toEqual([...QUESTIONS.map(({ message }) => message), 'Setup token', 'Go on?']);
  });

  it('change nothing when the plan is declined', async () => {
    const made = await make();
    const asker = { ask: () => Promise.reject(new Error('nothing to ask')) };
    expect(await made.run({}, { asker, confirm: () => Promise.resolve(false) })).toBe(false);
    expect(changes(made)).toEqual([]);
  });

  it('have names for what is missing where nobody can be asked', async () => {
    const made = await make({ nodes: [{ name: 'pve1', bridges: ['vmbr0', 'vmbr1'] }] });
    const { bridge: _, ...flags } = made.flags();
    await expect(made.run({ flags })).rejects.toThrow('--bridge is missing');
  });
});

/** What differs between two set-ups that are the same. */
function normalized({ config, folder, simulator, coordinator }: ProxmoxSetup): string {
  return [
    folder,
    simulator.url,
    simulator.fingerprint,
    coordinator.url,
    coordinator.memory.key.publicKey,
  ].reduce(
    (text, part, index) => text.replaceAll(part, `<${index}>`),
    config.replaceAll(coordinator.provider.publicKey, '<provider>'),
  );
}
