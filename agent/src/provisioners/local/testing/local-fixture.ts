/** A scratch folder with a `local` driver and a key pair, for tests that log in with the system's own programs. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import { makeSeal } from '@dc/shared/seal';
import {
  runCommand,
  startCommand,
  type CommandResult,
  type RunningCommand,
} from '../../../lib/run-command.ts';
import { systemClock } from '../../../lib/system-clock.ts';
import { systemRandom } from '../../../lib/system-random.ts';
import type { CreateRequest, Instance, SshAccess } from '../../provisioner.ts';
import type { LocalOptions } from '../local-options.ts';
import { LocalProvisioner } from '../local-provisioner.ts';

const PROGRAM_MS_MAX = 30_000;
const OUTPUT_BYTES_MAX = 100_000_000;
const ENV = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent' };

export class LocalFixture {
  readonly folder: string;
  readonly sealSecret: Uint8Array;
  /** What opens instances: the path of a private key, whose public half is beside it. */
  readonly keyFile: string;
  readonly signal: AbortSignal = new AbortController().signal;
  #requests = 0;

  private constructor(folder: string, sealSecret: Uint8Array) {
    this.folder = folder;
    this.sealSecret = sealSecret;
    this.keyFile = join(folder, 'renter-key');
  }

  static async make(sealSecret: Uint8Array = Buffer.alloc(32, 9)): Promise<LocalFixture> {
    const fixture = new LocalFixture(await mkdtemp(join(tmpdir(), 'dc-local-')), sealSecret);
    await fixture.makeKey('renter-key', 'ed25519');
    return fixture;
  }

  get stateDir(): string {
    return join(this.folder, 'state');
  }

  open(options: LocalOptions = {}, clock: Clock = systemClock): Promise<LocalProvisioner> {
    const { sealSecret, stateDir } = this;
    return LocalProvisioner.open(options, { clock, random: systemRandom, sealSecret, stateDir });
  }

  /** An order for a new contract, for the key in `keyFile` unless another public key is given. */
  async request(sshPublicKey?: string): Promise<CreateRequest> {
    const number = String(++this.#requests).padStart(12, '0');
    const contractId = `01930000-0000-7000-8000-${number}`;
    return {
      contractId,
      seal: makeSeal(this.sealSecret, { contractId, environment: 'test' }),
      token: `token-${number}`,
      spec: {
        cpu: 1,
        memoryMb: 512,
        diskGb: 5,
        operatingSystem: 'debian-12',
        sshPublicKey: sshPublicKey ?? (await readFile(`${this.keyFile}.pub`, 'utf8')),
        hostname: 'demo',
      },
    };
  }

  /** Makes a key pair; gives back the public key. */
  async makeKey(name: string, type: string, ...more: string[]): Promise<string> {
    const path = join(this.folder, name);
    await this.run('ssh-keygen', ['-q', '-N', '', '-t', type, ...more, '-f', path]);
    return readFile(`${path}.pub`, 'utf8');
  }

  recordFile(id: string): string {
    return join(this.stateDir, 'instances', id, 'instance.json');
  }

  /** The names of everything in the folder of instances, hidden ones too. */
  folders(): Promise<string[]> {
    return readdir(join(this.stateDir, 'instances'));
  }

  /** Options that make ssh, scp and sftp trust exactly the host key that the instance was reported with. */
  async trustOptions(ssh: SshAccess, keyFile = this.keyFile): Promise<string[]> {
    const knownHosts = join(this.folder, `known-hosts-${ssh.port}`);
    await writeFile(knownHosts, `[${ssh.host}]:${ssh.port} ${ssh.hostKey}\n`);
    const options = [
      `UserKnownHostsFile=${knownHosts}`,
      'GlobalKnownHostsFile=/dev/null',
      'StrictHostKeyChecking=yes',
      'IdentitiesOnly=yes',
      'BatchMode=yes',
      'ConnectTimeout=20',
      'LogLevel=ERROR',
    ];
    return ['-F', '/dev/null', '-i', keyFile, ...options.flatMap((option) => ['-o', option])];
  }

  /** Runs the system's `ssh` against an instance. `args` are what follows the destination. */
  async ssh(instance: Instance, args: string[], more: SshMore = {}): Promise<CommandResult> {
    const ssh = accessOf(instance);
    const trust = await this.trustOptions(ssh, more.keyFile);
    const destination = `${more.user ?? ssh.user}@${ssh.host}`;
    const all = [...trust, ...(more.options ?? []), '-p', String(ssh.port), destination, ...args];
    return this.run('ssh', all, more.input);
  }

  /** Starts `ssh` with a command, for tests that look at it while it runs. Its output must be read. */
  async startSsh(instance: Instance, command: string): Promise<RunningCommand> {
    const ssh = accessOf(instance);
    const args = [...(await this.trustOptions(ssh)), '-p', String(ssh.port), ssh.host, command];
    return startCommand({ file: 'ssh', args, env: ENV }, systemClock);
  }

  run(file: string, args: string[], input?: string | Uint8Array): Promise<CommandResult> {
    const limits = {
      timeoutMs: PROGRAM_MS_MAX,
      outputBytesMax: OUTPUT_BYTES_MAX,
      ...(input === undefined ? {} : { input }),
    };
    return runCommand({ file, args, env: ENV, cwd: this.folder }, limits, systemClock, this.signal);
  }

  dispose(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}

/** What a login may have besides its arguments. */
export interface SshMore {
  input?: string | Uint8Array;
  options?: string[];
  keyFile?: string;
  user?: string;
}

/** Whether anything takes a connection where the instance said that it listens. */
export function isPortOpen({ host, port }: SshAccess): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export function accessOf(instance: Instance): SshAccess {
  if (instance.ssh === null) throw new Error('the instance does not say where to log in');
  return instance.ssh;
}
