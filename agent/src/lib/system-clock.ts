/** The operating system's clock and timers: the only place in the agent that reads the time. */
import type { CancelTimer, Clock } from '@dc/shared/clock';

/** setTimeout takes no more than this many milliseconds (about 24.8 days); it fires at once for anything above. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The real clock. A delay beyond 24 days is waited for in pieces. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs: number, callback: () => void): CancelTimer {
    let left = Math.max(0, delayMs);
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const piece = Math.min(left, TIMER_MS_MAX);
      left -= piece;
      timer = setTimeout(left > 0 ? wait : callback, piece);
    };
    wait();
    return () => clearTimeout(timer);
  },
};
