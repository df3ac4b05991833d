/** Timers of one owner, which end with it. */
import type { CancelTimer, Clock } from '@dc/shared/clock';

/** Timers that end together. */
export class TimerGroup {
  readonly #clock: Clock;
  readonly #timers = new Set<CancelTimer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  after(delayMs: number, work: () => void): void {
    const cancel = this.#clock.schedule(delayMs, () => {
      this.#timers.delete(cancel);
      work();
    });
    this.#timers.add(cancel);
  }

  cancelAll(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }
}
