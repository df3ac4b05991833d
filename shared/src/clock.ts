/**
 * The time, as a port. Both programs get their clock from their wiring, so that a test or a simulation
 * can run them on virtual time. Only the Node implementations (`lib/system-clock.ts`) read the real clock.
 */

/** Ends a timer; calling it twice, or after the timer fired, does nothing. */
export type CancelTimer = () => void;

/** Where a program reads the time and sets its timers. */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. It may jump. */
  now(): number;
  /** A monotonic reading in milliseconds, for durations and deadlines; only differences mean something. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs` (clamped to at least 0). The timer keeps the process alive. */
  schedule(delayMs: number, callback: () => void): CancelTimer;
}

/**
 * Resolves after `delayMs` on `clock`. Rejects with the signal's reason at once when it is aborted, and
 * leaves no timer behind.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
