/**
 * Changes logins inside a guest over SSH, with the agent's own management key and the host key pinned: for drivers
 * whose backend has no way into the guest. Secrets go in on stdin: never in a command line, where everybody on the
 * guest could read them.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { SshAccess } from '../provisioners/provisioner.ts';
import { authorizedKeysInput, AUTHORIZED_KEYS_SCRIPT, chpasswdLine } from './guest-scripts.ts';
import { withSshClient } from './ssh-client.ts';

/** PAM may look up names over a network that does not answer. */
const TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 10_000;

/** How the agent gets in: as `access.user`, who is root or may become so by `sudo` without a password. */
export interface GuestLogin {
  readonly access: SshAccess;
  /** In OpenSSH's format. */
  readonly privateKey: string;
}

export interface GuestParts {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Sets one user's password. Idempotent. Throws COMMAND_FAILED where the guest refuses, or its answer is lost;
 * INSTANCE_UNREACHABLE; SAGA_ABORTED.
 */
export async function setGuestPassword(
  login: GuestLogin,
  user: { readonly user: string; readonly password: string },
  parts: GuestParts,
): Promise<void> {
  await runInGuest(login, asRoot('chpasswd'), chpasswdLine(user), parts);
}

/**
 * Puts one key in the place of another in a user's authorized_keys; others that the renter put there stay.
 * Idempotent. Throws as `setGuestPassword`.
 */
export async function replaceGuestKey(
  login: GuestLogin,
  change: { readonly user: string; readonly sshPublicKey: string; readonly replaces: string },
  parts: GuestParts,
): Promise<void> {
  await runInGuest(login, asRoot(`sh -c '${AUTHORIZED_KEYS_SCRIPT}'`), authorizedKeysInput(change), parts);
}

const asRoot = (command: string): string => `[ "$(id -u)" = 0 ] || exec sudo -n ${command}; exec ${command}`;

/** Runs a command of ours with `input` on its stdin. What it says goes nowhere: it may repeat its input. */
async function runInGuest(
  { access, privateKey }: GuestLogin,
  command: string,
  input: string,
  { clock, signal }: GuestParts,
): Promise<void> {
  const options = { auth: { privateKey }, clock, signal, timeoutMs: TIMEOUT_MS };
  const exitCode = await withSshClient(access, options, async (client) => {
    await new Promise<void>((resolve) => client.once('ready', resolve));
    return new Promise<number | null>((resolve, reject) => {
      client.exec(command, (error, channel) => {
        if (error !== undefined) {
          reject(error);
          return;
        }
        let bytes = 0;
        // Without readers on both, the end of the command is never told.
        const onData = (chunk: Buffer): void => {
          bytes += chunk.length;
          if (bytes > OUTPUT_BYTES_MAX) channel.destroy();
        };
        channel.on('data', onData);
        channel.stderr.on('data', onData);
        channel.on('close', (code: number | null | undefined) => resolve(code ?? null));
        channel.end(input);
      });
    });
  });
  // Null: it was killed, or the connection broke. Whether it did its work nobody knows.
  if (exitCode === 0) return;
  throw new AppError(
    'COMMAND_FAILED',
    exitCode === null
      ? 'The guest gave no exit code: the command was cut off.'
      : `The guest refused the change with exit code ${String(exitCode)}.`,
    { remedy: 'Look into the guest’s own log (auth.log, or journalctl) for the reason.' },
  );
}
