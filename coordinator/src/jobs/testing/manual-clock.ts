/** Time that stands still until a test moves it. */
import type { CancelTimer, Clock } from '@dc/shared/clock';

/** A clock that only `advance` moves. */
export class ManualClock implements Clock {
  #now = Date.parse('2026-11-20T12:00:00.000Z');
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  schedule(delayMs: number, callback: () => void): CancelTimer {
    const timer = { at: this.#now + Math.max(0, delayMs), callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How many timers are set: 0 where everything has stopped. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Lets time pass and fires what falls due, in order. What that starts goes on after this returns. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter((timer) => timer.at <= until).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next);
      next.callback();
    }
    this.#now = until;
  }
}
