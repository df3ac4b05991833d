/** The real time and real timers behind the `Clock` port. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '@dc/shared/clock';

/** The longest delay that Node's timers take: a longer one would fire at once, so it is done in several hops. */
const HOP_MS_MAX = 2 ** 31 - 1;

/** The real clock of a running coordinator. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, callback) {
    let timer: NodeJS.Timeout;
    const hop = (leftMs: number): void => {
      const hopMs = Math.min(Math.max(0, leftMs), HOP_MS_MAX);
      timer = setTimeout(() => (leftMs > hopMs ? hop(leftMs - hopMs) : callback()), hopMs);
    };
    hop(delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * Resolves when whatever the sockets brought in this turn of the event loop has been handed to its handlers. Not a
 * measure of time: it is the same under a virtual clock.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
