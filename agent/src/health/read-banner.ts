/** The cheapest look at an instance: whether something on its SSH port says that it speaks SSH, and how fast. */
import { connect } from 'node:net';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { describeError, type SshAddress } from './probe-ssh.ts';

/** Twice the time after which a renter would think that the machine hangs. */
const TIMEOUT_MS = 10_000;
/** RFC 4253 allows lines before the version, and 255 characters a line. */
const GREETING_BYTES_MAX = 4_096;

/**
 * Connects and waits for a line that begins with `SSH-`; resolves with how long that took in milliseconds. Throws
 * INSTANCE_UNREACHABLE or SAGA_ABORTED.
 */
export async function readBanner(
  { host, port }: SshAddress,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<number> {
  if (signal.aborted) throw new AppError('SAGA_ABORTED');
  const startedAt = clock.monotonic();
  const socket = connect({ host, port });
  let cancel = (): void => undefined;
  let stop = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void =>
        reject(new AppError('INSTANCE_UNREACHABLE', why, { cause }));
      let greeting = '';
      cancel = clock.schedule(TIMEOUT_MS, () => fail('it did not answer in time'));
      stop = () => reject(new AppError('SAGA_ABORTED'));
      signal.addEventListener('abort', stop, { once: true });
      socket.on('error', (error) => fail(describeError(error), error));
      socket.on('close', () => fail('it closed the connection'));
      socket.on('data', (chunk: Buffer) => {
        greeting += chunk.toString('latin1');
        if (/^SSH-2\.0-/m.test(greeting)) resolve();
        else if (greeting.length > GREETING_BYTES_MAX) fail('what answers there does not speak SSH');
      });
    });
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
  return clock.monotonic() - startedAt;
}
