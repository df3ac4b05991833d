/**
 * A connection to an instance's SSH server: only to the host key that is pinned, with a deadline of its own, and gone
 * when the work with it has ended. ssh2 takes any host key unless it is told otherwise, and waits for ever: this is
 * the only place in the agent that makes it a client with a login.
 */
import type { Client, ConnectConfig } from 'ssh2';
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { describeError } from '../health/probe-ssh.ts';
import type { SshAccess } from '../provisioners/provisioner.ts';

/** How it is connected. */
export interface SshClientOptions {
  /** How to log in: a key, a password, or an `authHandler`. */
  readonly auth: Pick<ConnectConfig, 'privateKey' | 'authHandler'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For everything: connecting, logging in, and the work. */
  readonly timeoutMs: number;
}

const REMEDY = 'Look whether the instance is up and whether this machine reaches it, then try again.';
const ALGORITHMS = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'] as const;

/**
 * Connects and does `use`, which gets the client at once, before it is logged in. Throws INSTANCE_UNREACHABLE where
 * there is no connection, another host key, no login, or no end in time; SAGA_ABORTED where the signal says so; and
 * what `use` throws.
 */
export async function withSshClient<T>(
  access: SshAccess,
  { auth, clock, signal, timeoutMs }: SshClientOptions,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const { default: ssh2 } = await import('ssh2'); // 18 MB that an agent without instances does not need.
  if (signal.aborted) throw new AppError('SAGA_ABORTED');
  const pinned = Buffer.from(access.hostKey.split(' ')[1] ?? '', 'base64');
  const client = new ssh2.Client();
  let isOtherHost = false;
  const broken = Promise.withResolvers<never>();
  const fail = (why: string, cause?: unknown): void =>
    broken.reject(unreachable(isOtherHost ? 'a server with another host key answers there' : why, cause));
  const stop = (): void => broken.reject(new AppError('SAGA_ABORTED'));
  const cancel = clock.schedule(timeoutMs, () => fail('it did not answer in time'));
  signal.addEventListener('abort', stop, { once: true });
  client.on('error', (error) => fail(describeLoginError(error), error));
  client.on('close', () => fail('it closed the connection'));
  try {
    const done = use(client);
    client.connect({
      ...auth,
      host: access.host,
      port: access.port,
      username: access.user,
      readyTimeout: 0, // The deadline above is on our clock.
      hostVerifier: (offered: Buffer) => {
        isOtherHost = !offered.equals(pinned);
        return !isOtherHost;
      },
      algorithms: { serverHostKey: [...ALGORITHMS] },
    });
    return await Promise.race([done, broken.promise]);
  } catch (error) {
    if (isAppError(error)) throw error;
    throw unreachable('the connection failed', error);
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
    client.destroy();
  }
}

function describeLoginError(error: unknown): string {
  const { level } = error as { level?: unknown };
  return level === 'client-authentication' || level === 'agent'
    ? 'it does not let us in'
    : describeError(error);
}

const unreachable = (why: string, cause: unknown): AppError =>
  new AppError('INSTANCE_UNREACHABLE', `The instance’s SSH server cannot be used: ${why}.`, {
    remedy: REMEDY,
    cause,
  });
