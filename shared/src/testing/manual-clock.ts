/** Virtual time for tests: it stands still until the test moves it, and tells when every timer is waited for. */
import type { CancelTimer, Clock } from '../clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that only `advance` moves. Wall clock and monotonic clock go together unless `jump` parts them. */
export class ManualClock implements Clock {
  #now: number;
  #jumped = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(now = Date.parse('2026-11-20T12:00:00.000Z')) {
    this.#now = now;
  }

  /** Whole milliseconds, as Date.now() tells them, also where a timer was set for a part of one. */
  now(): number {
    return Math.floor(this.#now + this.#jumped);
  }

  monotonic(): number {
    return this.#now;
  }

  schedule(delayMs: number, callback: () => void): CancelTimer {
    const timer = { at: this.#now + Math.max(0, delayMs), order: (this.#order += 1), callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How many timers are set: 0 where everything has been stopped cleanly. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Sets the wall clock forward or back, as an operator or NTP does. */
  jump(ms: number): void {
    this.#jumped += ms;
  }

  /** Lets time pass: fires the timers that fall due, in order, and lets what waits on them run in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at || a.order - b.order);
      if (next === undefined || next.at > until) break;
      this.#now = next.at;
      this.#timers.delete(next);
      next.callback();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

/** Lets everything run that waits for nothing but its turn. Sockets and files take longer: wait for their effect. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
