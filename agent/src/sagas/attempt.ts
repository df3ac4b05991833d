/** One try of an outside call: with a deadline, and with a stop that is not a failure. */
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';

/** How the try ended. `stopped`: we made it stop; nobody knows how far it got. */
export type Attempt<T> =
  | { readonly ended: 'succeeded'; readonly value: T }
  | { readonly ended: 'failed'; readonly error: unknown }
  | { readonly ended: 'stopped' };

export interface AttemptOptions {
  readonly clock: Clock;
  /** After so long the call's signal is aborted and the try has failed. */
  readonly timeoutMs: number;
  /** Aborting it stops the call. */
  readonly signal: AbortSignal;
}

/**
 * Runs `call` once and waits until it has ended, also when it was told to stop: another call for the same
 * instance must never run beside it. Never rejects.
 */
export async function attempt<T>(
  call: (signal: AbortSignal) => Promise<T>,
  { clock, timeoutMs, signal }: AttemptOptions,
): Promise<Attempt<T>> {
  const controller = new AbortController();
  const timeout = new AppError(
    'PROVISIONER_UNAVAILABLE',
    `It did not end within ${String(timeoutMs / 1000)} s.`,
  );
  let isLate = false;
  const stop = (): void => controller.abort(new AppError('SAGA_ABORTED'));
  const cancelTimer = clock.schedule(timeoutMs, () => {
    isLate = true;
    controller.abort(timeout);
  });
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return { ended: 'succeeded', value: await call(controller.signal) };
  } catch (error) {
    // Whatever a call says after it was told to stop says nothing about the backend.
    if (signal.aborted || isAppError(error, 'LEASE_STALE')) return { ended: 'stopped' };
    return { ended: 'failed', error: isLate ? timeout : error };
  } finally {
    cancelTimer();
    signal.removeEventListener('abort', stop);
  }
}
