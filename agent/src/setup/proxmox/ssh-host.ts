/**
 * Commands on another machine, by the system's own `ssh`, so that its keys, agents and jump hosts work as always. The
 * machine's host key is pinned: the fingerprint is what the operator said or confirmed, and nothing else is trusted.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { readHostKey, type SshServerSeen } from '../../health/probe-ssh.ts';
import { shellLine, type Host, type HostCommand, type HostResult } from './host.ts';

/** ssh's own exit code for "no connection". */
const SSH_FAILED = 255;

/** Whom to log in as, and where. */
export interface SshTarget {
  readonly user: string;
  readonly host: string;
  readonly port: number;
}

/** `root@192.0.2.1`, `192.0.2.1`, `root@[2001:db8::1]:2222`. COMMAND_USAGE for anything else. */
export function parseSshTarget(text: string): SshTarget {
  const match = /^(?:([a-z_][a-z0-9_-]*)@)?(\[[0-9a-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(?::(\d{1,5}))?$/.exec(
    text,
  );
  const port = Number(match?.[3] ?? 22);
  if (match === null || port < 1 || port > 65_535)
    throw new AppError('COMMAND_USAGE', `${JSON.stringify(text)} is no host.`, {
      remedy: 'Write --host local, or --host root@192.0.2.1, with :PORT where it is not 22.',
    });
  return { user: match[1] ?? 'root', host: (match[2] ?? '').replace(/^\[|\]$/g, ''), port };
}

/** The host key that answers now. SETUP_HOST_UNSUITABLE where none does. */
export async function seeHostKey(
  target: SshTarget,
  clock: Clock,
  signal: AbortSignal,
): Promise<SshServerSeen> {
  try {
    return await readHostKey(target, { clock, signal });
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'INSTANCE_UNREACHABLE') throw error;
    throw new AppError(
      'SETUP_HOST_UNSUITABLE',
      `${target.host} has no SSH server for us: ${error.message}.`,
      {
        cause: error,
      },
    );
  }
}

/** SETUP_HOST_UNSUITABLE where the key is not the one that was said. */
export function assertHostKey({ fingerprint }: SshServerSeen, expected: string): void {
  if (fingerprint === expected) return;
  throw new AppError(
    'SETUP_HOST_UNSUITABLE',
    `The host shows the SSH host key ${fingerprint}, not ${expected}.`,
    {
      remedy:
        'Ask the host itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub. If they differ, somebody stands between.',
    },
  );
}

/** The line of a known_hosts file that pins a key. */
export function knownHostsLine({ host, port }: SshTarget, { hostKey }: SshServerSeen): string {
  return `${port === 22 ? host : `[${host}]:${port}`} ${hostKey}\n`;
}

/** Another machine. */
export class SshHost implements Host {
  readonly #here: Host;
  readonly #prefix: readonly [string, ...string[]];
  readonly #target: SshTarget;

  /** `knownHostsFile` holds the pinned key and nothing else. `here` runs ssh. */
  constructor(here: Host, target: SshTarget, knownHostsFile: string) {
    this.#here = here;
    this.#target = target;
    this.#prefix = [
      'ssh',
      ...['BatchMode=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${knownHostsFile}`].flatMap(
        (option) => ['-o', option],
      ),
      ...['-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'ConnectTimeout=15'],
      ...['-p', String(target.port), `${target.user}@${target.host}`, '--'],
    ];
  }

  async run({ argv, ...rest }: HostCommand, signal: AbortSignal): Promise<HostResult> {
    const result = await this.#here.run({ ...rest, argv: [...this.#prefix, shellLine(argv)] }, signal);
    if (result.exitCode !== SSH_FAILED) return result;
    throw new AppError(
      'SETUP_HOST_UNSUITABLE',
      `ssh to ${this.#target.host} failed: ${result.stderr.trim()}`,
      {
        remedy: `Make sure that this works without a password: ssh ${this.#target.user}@${this.#target.host} true`,
      },
    );
  }
}
