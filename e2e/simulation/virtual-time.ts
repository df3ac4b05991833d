/**
 * The time of a simulation: one queue of timers for every node, and a clock for each node that can be wrong and that
 * dies with its process. Time moves only from timer to timer, so that hours cost nothing.
 */
import type { CancelTimer, Clock } from '@dc/shared/clock';

/** When every simulation begins, on a clock that is right. */
export const BEGINNING_MS = Date.parse('2026-11-20T12:00:00.000Z');

interface Timer {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | null;
}

/** The queue of everything that will happen: a binary heap by time, then by the order in which it was set. */
export class VirtualTime {
  #now = 0;
  #orders = 0;
  readonly #heap: Timer[] = [];

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  schedule(delayMs: number, callback: () => void): CancelTimer {
    const timer: Timer = { at: this.#now + Math.max(0, delayMs), order: (this.#orders += 1), callback };
    this.#push(timer);
    return () => void (timer.callback = null);
  }

  /** Moves to the next timer and fires it. False where there is none until `untilMs`: then it is that late. */
  fireNext(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > untilMs) {
        this.#now = Math.max(this.#now, untilMs);
        return false;
      }
      this.#pop();
      const { callback } = next;
      if (callback === null) continue;
      this.#now = next.at;
      next.callback = null;
      callback();
      return true;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(timer);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, timer)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (isBefore(last, below)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** The clock of one process. Its wall clock may be wrong and may jump; its timers end with the process. */
export class NodeClock implements Clock {
  /** How far the wall clock is ahead of the right time. */
  aheadMs: number;
  readonly #time: VirtualTime;
  #isDead = false;

  constructor(time: VirtualTime, aheadMs = 0) {
    this.#time = time;
    this.aheadMs = aheadMs;
  }

  now(): number {
    return Math.floor(BEGINNING_MS + this.#time.now + this.aheadMs);
  }

  monotonic(): number {
    return this.#time.now;
  }

  schedule(delayMs: number, callback: () => void): CancelTimer {
    if (this.#isDead) return () => undefined;
    return this.#time.schedule(delayMs, () => {
      if (!this.#isDead) callback();
    });
  }

  /** No timer of this process fires any more. */
  kill(): void {
    this.#isDead = true;
  }
}
