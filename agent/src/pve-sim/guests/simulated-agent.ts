/** The QEMU guest agent of a guest in this process: its commands in the agent's own words. */
import type { Random } from '@dc/shared/random';
import type { GuestOs } from './guest-os.ts';
import { AgentRefusal, AgentSilent } from './machine.ts';
import { ShellInput } from './shell/shell-input.ts';
import type { GuestShell } from './shell/guest-shell.ts';

/** As guest-network-get-interfaces tells it. */
export interface NetworkInterface {
  readonly name: string;
  readonly 'hardware-address'?: string;
  readonly 'ip-addresses'?: readonly {
    readonly 'ip-address-type': 'ipv4' | 'ipv6';
    readonly 'ip-address': string;
    readonly prefix: number;
  }[];
}

/** What an agent needs of its guest. */
export interface AgentParts {
  readonly os: GuestOs;
  readonly shell: GuestShell;
  readonly random: Random;
  readonly isBlocked: boolean;
  readonly interfaces: () => readonly NetworkInterface[];
  readonly hostname: () => string;
}

type Arguments = Readonly<Record<string, unknown>>;

/** An argument that is a text; undefined where it is not there. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

type AgentCommand = (args: Arguments) => unknown;

interface RunningProcess {
  result: { exitCode: number; stdout: string; stderr: string } | undefined;
}

const FIRST_PID = 700;

export class SimulatedAgent {
  readonly #parts: AgentParts;
  readonly #processes = new Map<number, RunningProcess>();
  readonly #handles = new Map<number, { path: string; content: Buffer; writes: boolean }>();
  readonly #commands: Readonly<Record<string, AgentCommand>>;
  #nextPid = FIRST_PID;
  #isClosed = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#commands = {
      'guest-ping': () => ({}),
      'guest-info': () => ({
        version: '7.2.0',
        supported_commands: Object.keys(this.#commands).map((name) => ({
          name,
          enabled: true,
          'success-response': true,
        })),
      }),
      'guest-get-host-name': () => ({ 'host-name': parts.hostname() }),
      'guest-get-osinfo': () => ({
        id: 'debian',
        name: 'Debian GNU/Linux',
        'pretty-name': 'Debian GNU/Linux 12 (bookworm)',
        version: '12 (bookworm)',
        'version-id': '12',
        machine: 'x86_64',
        'kernel-release': '6.1.0-41-cloud-amd64',
        'kernel-version': '#1 SMP',
      }),
      'guest-get-users': () => [],
      'guest-get-time': () => 0,
      'guest-fsfreeze-status': () => 'thawed',
      'guest-network-get-interfaces': () => parts.interfaces(),
      'guest-set-user-password': (args) => this.#setPassword(args),
      'guest-exec': (args) => this.#exec(args),
      'guest-exec-status': (args) => this.#execStatus(args),
      'guest-file-open': (args) => this.#open(args),
      'guest-file-read': (args) => this.#read(args),
      'guest-file-write': (args) => this.#write(args),
      'guest-file-close': (args) => this.#close(args),
    };
  }

  async ask(command: string, args: Arguments): Promise<unknown> {
    if (this.#isClosed) throw new AgentSilent('QEMU guest agent is not running');
    const run = this.#commands[command];
    if (run === undefined) throw new AgentRefusal(`The command ${command} has not been found`);
    if (this.#parts.isBlocked && command !== 'guest-ping') {
      throw new AgentRefusal(`Command ${command} has been disabled: the command is not allowed`);
    }
    return run(args);
  }

  close(): void {
    this.#isClosed = true;
  }

  #setPassword(args: Arguments): unknown {
    const name = String(args.username);
    const { os, random } = this.#parts;
    if (os.user(name) === undefined) throw new AgentRefusal('child process has failed to set user password');
    const password = Buffer.from(String(args.password), 'base64').toString('utf8');
    if (args.crypted === true) os.setPasswordHash(name, password);
    else os.setPassword(name, password, random);
    return {};
  }

  #exec(args: Arguments): unknown {
    const argv = [String(args.path), ...((args.arg as readonly string[] | undefined) ?? [])];
    const known = /^(\/\S*|[\w.[-]+)$/.test(argv[0] ?? '');
    if (!known)
      throw new AgentRefusal(
        `Failed to execute child process “${argv[0] ?? ''}” (No such file or directory)`,
      );
    const input = Buffer.from(text(args['input-data']) ?? '', 'base64').toString('utf8');
    const pid = this.#nextPid++;
    const running: RunningProcess = { result: undefined };
    this.#processes.set(pid, running);
    void this.#parts.shell.runCommand('root', argv, ShellInput.of(input)).then((result) => {
      running.result = result;
    });
    return { pid };
  }

  #execStatus(args: Arguments): unknown {
    const pid = Number(args.pid);
    const running = this.#processes.get(pid);
    if (running === undefined) throw new AgentRefusal(`Invalid parameter 'pid'`);
    const { result } = running;
    if (result === undefined) return { exited: false };
    this.#processes.delete(pid);
    return {
      exited: true,
      exitcode: result.exitCode,
      ...(result.stdout === '' ? {} : { 'out-data': Buffer.from(result.stdout).toString('base64') }),
      ...(result.stderr === '' ? {} : { 'err-data': Buffer.from(result.stderr).toString('base64') }),
    };
  }

  #open(args: Arguments): unknown {
    const path = String(args.path);
    const writes = text(args.mode)?.startsWith('w') === true;
    const content = this.#parts.os.read(path);
    if (content === undefined && !writes)
      throw new AgentRefusal(`Failed to open file '${path}' (mode: 'r'): No such file or directory`);
    const handle = this.#nextPid++;
    this.#handles.set(handle, { path, content: Buffer.from(writes ? '' : (content ?? '')), writes });
    return handle;
  }

  #read(args: Arguments): unknown {
    const file = this.#file(args);
    const bytes = file.content.subarray(0, Number(args.count ?? file.content.length));
    file.content = file.content.subarray(bytes.length);
    return { count: bytes.length, 'buf-b64': bytes.toString('base64'), eof: file.content.length === 0 };
  }

  #write(args: Arguments): unknown {
    const file = this.#file(args);
    const bytes = Buffer.from(String(args['buf-b64']), 'base64');
    file.content = Buffer.concat([file.content, bytes]);
    return { count: bytes.length, eof: false };
  }

  #close(args: Arguments): unknown {
    const file = this.#file(args);
    if (file.writes) this.#parts.os.write(file.path, file.content.toString('utf8'));
    this.#handles.delete(Number(args.handle));
    return {};
  }

  #file(args: Arguments) {
    const file = this.#handles.get(Number(args.handle));
    if (file === undefined) throw new AgentRefusal(`handle '${String(args.handle)}' has not been found`);
    return file;
  }
}
