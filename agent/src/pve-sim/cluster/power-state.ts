/** Whether a VM is on, and since when others know: statistics are gathered in rounds and lag behind. */

export class PowerState {
  #now: 'running' | 'stopped' = 'stopped';
  /** What was the case when the round of the last change began; null: there was no such VM. */
  #before: 'running' | 'stopped' | null = null;
  #changedAtMs: number;

  constructor(nowMs: number) {
    this.#changedAtMs = nowMs;
  }

  /** Notes a change. */
  change(state: 'running' | 'stopped', nowMs: number, roundMs: number): void {
    if (roundOf(this.#changedAtMs, roundMs) !== roundOf(nowMs, roundMs)) this.#before = this.#now;
    this.#now = state;
    this.#changedAtMs = nowMs;
  }

  /** What the last round saw; null where it was before the VM's time. */
  seenBy(nowMs: number, roundMs: number): 'running' | 'stopped' | null {
    return roundMs === 0 || roundOf(this.#changedAtMs, roundMs) < roundOf(nowMs, roundMs)
      ? this.#now
      : this.#before;
  }
}

function roundOf(ms: number, roundMs: number): number {
  return roundMs === 0 ? ms : Math.floor(ms / roundMs);
}
