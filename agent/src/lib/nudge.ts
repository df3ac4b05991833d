/** A wait that somebody else can cut short: what makes a polling loop react at once. */
import type { Clock } from '@dc/shared/clock';

/** Remembers one nudge until somebody waits for it; more of them before that are the same one. */
export class Nudge {
  #isPending = false;
  #wakeUp: (() => void) | null = null;

  /** Ends the wait that is going on, or the next one before it begins. */
  nudge(): void {
    this.#isPending = true;
    this.#wakeUp?.();
  }

  /**
   * Resolves after `delayMs` on `clock` or at the next nudge, whatever comes first; true for a nudge. Resolves at
   * once (false) when `signal` is aborted: the caller looks at its signal after every wait anyway. One waiter only.
   */
  wait(clock: Clock, delayMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        this.#wakeUp = null;
        const wasNudged = this.#isPending;
        this.#isPending = false;
        resolve(wasNudged);
      };
      const cancel = clock.schedule(delayMs, end);
      this.#wakeUp = end;
      if (this.#isPending || signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
  }
}
