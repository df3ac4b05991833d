/** `dc-agent setup proxmox`: sets a Proxmox VE cluster up, and this machine as the agent of it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { CONFIG_FILE_DEFAULT, STATE_DIR_DEFAULT } from '../../config/paths.ts';
import {
  flagOption,
  textOption,
  type Command,
  type CommandInput,
  type CommandWorld,
} from '../../lib/command.ts';
import { EXIT } from '../../lib/exit-code.ts';
import { painter } from '../../lib/render-table.ts';
import { CERTIFICATE_FILE } from './certificate-step.ts';
import type { KnownAnswers } from './answers.ts';
import type { Host } from './host.ts';
import type { CloudImage } from './image-catalogue.ts';
import type { SetupParts, SetupRequest, SetupSettings } from './set-up-proxmox.ts';

const UNIT_DIR = '/etc/systemd/system';

/** The command. */
export const setupProxmoxCommand: Command = {
  name: 'setup proxmox',
  summary: 'set a Proxmox VE host or cluster up, and this machine as its agent',
  description:
    'Makes a pool, roles with exactly what the agent needs, a user with an API token, and templates; then registers ' +
    'this machine, writes its configuration, installs the service and makes a test instance. Asks for what is not ' +
    'given; shows what it is going to do first. The setup token is spent when everything before has passed. Safe to ' +
    'run again: it goes on where it stopped, and does nothing twice.',
  options: [
    {
      flags: '--host <host>',
      description: 'local, or root@HOST[:PORT] to work over SSH; local unless given',
      defaultValue: 'local',
    },
    {
      flags: '--ssh-host-key <fingerprint>',
      description: 'SHA256:… of that host’s SSH host key; shown and asked for unless given',
    },
    { flags: '--nodes <list>', description: 'the nodes that may hold instances, with commas' },
    { flags: '--storage <id>', description: 'the storage of their disks' },
    { flags: '--bridge <name>', description: 'the bridge that they are on' },
    { flags: '--addresses <range>', description: 'dhcp, or a range of yours: FIRST-LAST/PREFIX,GATEWAY' },
    {
      flags: '--systems <list>',
      description: 'the operating systems: debian-12, debian-13, ubuntu-22.04, ubuntu-24.04, rocky-9',
    },
    { flags: '--vmids <first-last>', description: 'the VMIDs that are the agent’s own' },
    { flags: '--coordinator <url>', description: 'the address of the coordinator' },
    {
      flags: '--token <token>',
      description: 'the setup token; better left out: it is asked for, or read from a pipe',
    },
    {
      flags: '--pool <name>',
      description: 'the pool of the instances; the API token is named after it',
      defaultValue: 'dc-agent',
    },
    {
      flags: '--template-prefix <text>',
      description: 'what the names of templates begin with',
      defaultValue: 'dc-',
    },
    {
      flags: '--template-vmid <vmid>',
      description: 'the first VMID to try for templates',
      defaultValue: '9000',
    },
    {
      flags: '--image-storage <id>',
      description: 'a storage of files for images while templates are made',
      defaultValue: 'local',
    },
    { flags: '--images <file>', description: 'a catalogue of images of your own, as JSON' },
    {
      flags: '--api-url <url>',
      description: 'where this machine reaches the API; https://HOST:8006 unless given',
    },
    {
      flags: '--guest-networks <list>',
      description: 'the networks that guests have their addresses in, as 192.0.2.0/24',
    },
    { flags: '--guest-ssh-port <port>', description: 'the SSH port of guests; 22 unless given' },
    {
      flags: '--output <file>',
      description: 'the configuration to write',
      defaultValue: CONFIG_FILE_DEFAULT,
    },
    { flags: '--state-dir <dir>', description: 'where the journal goes', defaultValue: STATE_DIR_DEFAULT },
    { flags: '--key-dir <dir>', description: 'where the keys go; beside the configuration unless given' },
    { flags: '--label <text>', description: 'a name for this agent on the provider’s page' },
    { flags: '--no-service', description: 'do not install the systemd service' },
    { flags: '--no-test', description: 'do not make a test instance at the end' },
    { flags: '--yes', description: 'do not ask whether to go on' },
    { flags: '--dry-run', description: 'show what would be done, with every command, and change nothing' },
  ],
  async run(input, world) {
    const { setUpProxmox } = await import('./set-up-proxmox.ts');
    const { host, close, apiUrl } = await openHost(input, world);
    try {
      const settings = settingsOf(input, apiUrl);
      const isDryRun = flagOption(input, 'dryRun');
      const request: SetupRequest = { settings, flags: flagsOf(input), isDryRun, service: serviceOf(input) };
      const isDone = await setUpProxmox(request, await partsOf(input, world, host));
      if (!isDone) {
        world.print('\nNothing was changed.');
        return EXIT.ok;
      }
      if (wants(input, 'test')) await test(settings.output, world);
      world.print(
        `\nThis machine is an agent now. See how it is:  dc-agent --config ${settings.output} doctor`,
      );
      return EXIT.ok;
    } finally {
      close();
    }
  },
};

/** Options that commander turns round: `--no-test` is `test: false`. */
const wants = ({ options }: CommandInput, name: string): boolean => options[name] !== false;

function flagsOf(input: CommandInput): KnownAnswers {
  const names = ['nodes', 'storage', 'bridge', 'addresses', 'systems', 'vmids', 'coordinator'] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = textOption(input, name);
      return value === null ? [] : [[name, value]];
    }),
  );
}

function settingsOf(input: CommandInput, apiUrl: string): SetupSettings {
  const output = resolve(textOption(input, 'output') ?? CONFIG_FILE_DEFAULT);
  const keyDir = textOption(input, 'keyDir');
  const sshPort = textOption(input, 'guestSshPort');
  return {
    output,
    keyDir: keyDir === null ? join(dirname(output), 'keys') : resolve(keyDir),
    stateDir: resolve(textOption(input, 'stateDir') ?? STATE_DIR_DEFAULT),
    pool: named(input, 'pool', /^[A-Za-z][A-Za-z0-9._-]{0,40}$/),
    templatePrefix: named(input, 'templatePrefix', /^[A-Za-z][A-Za-z0-9-]{0,30}$/),
    imageStorage: named(input, 'imageStorage', /^[A-Za-z][A-Za-z0-9._-]*$/),
    templateVmid: Number(named(input, 'templateVmid', /^[1-9][0-9]{2,8}$/)),
    guestSshPort: sshPort === null ? null : Number(named(input, 'guestSshPort', /^[0-9]{1,5}$/)),
    guestNetworks: (textOption(input, 'guestNetworks') ?? '').split(',').filter((each) => each !== ''),
    label: textOption(input, 'label'),
    // Only root on the host itself can have it followed.
    certificateFile:
      (textOption(input, 'host') ?? 'local') === 'local' &&
      wants(input, 'service') &&
      process.getuid?.() === 0
        ? CERTIFICATE_FILE
        : null,
    apiUrl,
  };
}

/** An option that ends up in commands and names. COMMAND_USAGE where it cannot. */
function named(input: CommandInput, name: string, pattern: RegExp): string {
  const value = textOption(input, name) ?? '';
  if (pattern.test(value)) return value;
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new AppError('COMMAND_USAGE', `--${flag} ${JSON.stringify(value)} has a wrong form.`);
}

function serviceOf(input: CommandInput): SetupRequest['service'] {
  if (!wants(input, 'service')) return null;
  const program = process.argv[1] ?? '/usr/bin/dc-agent';
  return { unitDir: UNIT_DIR, program: program.endsWith('.ts') ? [process.execPath, program] : [program] };
}

/** The machine that Proxmox VE runs on, and where its API is. */
async function openHost(
  input: CommandInput,
  world: CommandWorld,
): Promise<{ host: Host; close: () => void; apiUrl: string }> {
  const { openHere, openSsh } = await import('./open-host.ts');
  const text = textOption(input, 'host') ?? 'local';
  const apiUrl = textOption(input, 'apiUrl');
  const here = openHere(world);
  if (text === 'local')
    return { host: here, close: () => undefined, apiUrl: apiUrl ?? 'https://127.0.0.1:8006' };
  const { host, close, target } = await openSsh(
    { text, expected: textOption(input, 'sshHostKey'), here, clock: world.clock },
    async (message) => world.isTerminal && (await import('./terminal-asker.ts')).confirmOnTerminal(message),
  );
  const name = target.host.includes(':') ? `[${target.host}]` : target.host;
  return { host, close, apiUrl: apiUrl ?? `https://${name}:8006` };
}

async function partsOf(input: CommandInput, world: CommandWorld, host: Host): Promise<SetupParts> {
  const { openHere } = await import('./open-host.ts');
  const { confirmOnTerminal, secretOnTerminal, terminalAsker } = await import('./terminal-asker.ts');
  const { isTerminal, clock, random } = world;
  const paint = painter(isTerminal && !world.environment.noColor);
  const isAsking = isTerminal && !flagOption(input, 'yes');
  return {
    host,
    here: openHere(world),
    clock,
    random,
    signal: new AbortController().signal,
    images: await imagesOf(input),
    asker: isTerminal ? await terminalAsker() : null,
    confirm: () => (isAsking ? confirmOnTerminal('Go on?') : Promise.resolve(true)),
    readToken: () => {
      const given = textOption(input, 'token');
      if (given !== null) return Promise.resolve(given);
      return isTerminal ? secretOnTerminal('Setup token') : world.readSecret('Setup token: ');
    },
    report: {
      onHeading: (line) => world.print(`\n${line}\n`),
      onKnown: (message, value) => world.print(`${paint('dim', '·')} ${message} ${value}`),
      onDone: (title, detail) => world.print(`${paint('green', '✓')} ${title}: ${detail}`),
      onPlanned(title, lines) {
        world.print(`${paint('yellow', '+')} ${title}`);
        for (const line of lines) world.print(`    ${line}`);
      },
      onAction: (_title, line) => world.print(paint('dim', `    ${line}`)),
    },
  };
}

async function imagesOf(input: CommandInput): Promise<readonly CloudImage[]> {
  const { IMAGES, parseCatalogue } = await import('./image-catalogue.ts');
  const file = textOption(input, 'images');
  if (file === null) return IMAGES;
  if (!existsSync(file)) throw new AppError('COMMAND_USAGE', `There is no file ${file}.`);
  return parseCatalogue(readFileSync(file, 'utf8'), file);
}

async function test(configFile: string, world: CommandWorld): Promise<void> {
  const { provisionOnce } = await import('./provision-once.ts');
  world.print('\nMaking one instance, to see that it works:\n');
  const { clock, random } = world;
  await provisionOnce(configFile, {
    clock,
    random,
    onStage: ({ name, durationMs }) =>
      world.print(`✓ ${name.padEnd(18)} ${durationMs.toFixed(0).padStart(7)} ms`),
  });
}
