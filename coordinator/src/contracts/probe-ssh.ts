/**
 * Looks at an SSH server from outside: connects, does the key exchange, and returns the fingerprint of the host key
 * that the server proved to hold. Nobody logs in.
 */
import type { ServerHostKeyAlgorithm } from 'ssh2';
import type { CancelTimer, Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { fingerprintOf } from '@dc/shared/ssh-public-key';

/** Where to look. */
export interface ProbeTarget {
  host: string;
  port: number;
  /** The type of the key that is looked for (`ssh-ed25519`): of several host keys the server shows this one. */
  keyType: string;
  timeoutMs: number;
}

/** SHA-1 (`ssh-rsa`) is not among them. */
const ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
];

/** The host key's fingerprint. Throws INSTANCE_UNREACHABLE when there is no key exchange within `timeoutMs`. */
export async function probeHostKey(target: ProbeTarget, clock: Clock): Promise<string> {
  const { host, port, keyType, timeoutMs } = target;
  // Loaded when the first instance is delivered: an idle coordinator does without it.
  const { default: ssh2 } = await import('ssh2');
  const client = new ssh2.Client();
  let fingerprint: string | null = null;
  let cancelTimeout: CancelTimer = () => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      cancelTimeout = clock.schedule(timeoutMs, () => reject(new Error('it took too long')));
      // Only here has the server signed the exchange with its key. `hostVerifier` sees a mere claim.
      client.on('handshake', () => resolve());
      client.on('error', reject);
      client.on('close', () => reject(new Error('the connection was closed before the key exchange ended')));
      client.connect({
        host,
        port,
        username: 'dc-probe', // Never sent: we leave before anybody logs in.
        readyTimeout: 0, // Ours is above, on our clock.
        algorithms: { serverHostKey: [...ALGORITHMS].sort((a, b) => rank(a, keyType) - rank(b, keyType)) },
        hostVerifier: (key: Buffer) => {
          fingerprint = fingerprintOf(key);
          return true;
        },
      });
    });
  } catch (error) {
    throw new AppError('INSTANCE_UNREACHABLE', undefined, { cause: error });
  } finally {
    cancelTimeout();
    client.destroy();
  }
  if (fingerprint === null) throw new AppError('INSTANCE_UNREACHABLE', 'It showed no host key.');
  return fingerprint;
}

/** 0 for what signs with a key of this type, which is what the client asks for first. */
function rank(algorithm: ServerHostKeyAlgorithm, keyType: string): number {
  return algorithm === keyType || (keyType === 'ssh-rsa' && algorithm.startsWith('rsa-')) ? 0 : 1;
}
