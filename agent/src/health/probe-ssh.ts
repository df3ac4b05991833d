/**
 * Asks an SSH server for its host key without logging in: version, key exchange, proof of the key, good-bye. The
 * coordinator has the same few lines, so that both sides see a delivery with the same eyes.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { fingerprintOf } from '@dc/shared/ssh-public-key';
import type { ProbeSsh } from '../sagas/saga-parts.ts';

/** A server that accepts the connection answers within a second; a machine that is swapping takes a few. */
const TIMEOUT_MS = 10_000;

/** An SSH server that has proved its host key. */
export interface SshServerSeen {
  /** As `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** As in known_hosts: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  readonly latencyMs: number;
}

export interface SshAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Connects and waits for the key exchange to end: from then on it is proved that the server holds the key. Throws
 * INSTANCE_UNREACHABLE with a phrase of ours where none does in time, SAGA_ABORTED where the signal says so.
 */
export async function readHostKey(
  { host, port }: SshAddress,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<SshServerSeen> {
  const { default: ssh2 } = await import('ssh2'); // 18 MB that an agent without instances does not need.
  if (signal.aborted) throw new AppError('SAGA_ABORTED');
  const startedAt = clock.monotonic();
  const client = new ssh2.Client();
  let key: Buffer | undefined;
  let cancel = (): void => undefined;
  let stop = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void =>
        reject(new AppError('INSTANCE_UNREACHABLE', why, { cause }));
      cancel = clock.schedule(TIMEOUT_MS, () => fail('it did not answer in time'));
      stop = () => reject(new AppError('SAGA_ABORTED'));
      signal.addEventListener('abort', stop, { once: true });
      client.on('handshake', () => resolve());
      client.on('error', (error) => fail(describeError(error), error));
      client.on('close', () => fail('it closed the connection before it had shown its host key'));
      client.connect({
        host,
        port,
        username: 'dc-probe', // Never sent: we leave before anybody logs in.
        readyTimeout: 0, // The deadline above is on our clock.
        hostVerifier: (offered: Buffer) => {
          key = offered;
          return true;
        },
        algorithms: { serverHostKey: ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'] },
      });
    });
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
    client.destroy();
  }
  if (key === undefined) throw new AppError('INSTANCE_UNREACHABLE', 'it showed no host key');
  const type = key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1');
  return {
    fingerprint: fingerprintOf(key),
    hostKey: `${type} ${key.toString('base64')}`,
    latencyMs: clock.monotonic() - startedAt,
  };
}

/** The probe as the sagas use it. */
export function probeSshOn(clock: Clock): ProbeSsh {
  return async (address, signal) => {
    try {
      const { fingerprint } = await readHostKey(address, { clock, signal });
      return { answered: true, hostKeyFingerprint: fingerprint };
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'INSTANCE_UNREACHABLE') throw error;
      return { answered: false, why: error.message };
    }
  };
}

/** Why there was no answer, in our words: what the network says could name hosts. */
export function describeError(error: unknown): string {
  const { code, level } = error as { code?: unknown; level?: unknown };
  if (code === 'ECONNREFUSED') return 'nothing listens on its SSH port';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'it closed the connection';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'ETIMEDOUT')
    return 'its address cannot be reached';
  if (level === 'handshake' || level === 'protocol') return 'what answers there does not speak SSH as we do';
  return 'the connection failed';
}
