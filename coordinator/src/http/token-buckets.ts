/**
 * Token buckets: how many requests a caller may still make. In memory, on the Clock port, and bounded: the caller
 * that was idle longest is forgotten first, which can only be to its favour. See docs/decisions/rate-limits.md.
 */
import type { Clock } from '@dc/shared/clock';

/** More callers than one process serves in the time a bucket takes to fill; about 10 MB when full. */
const BUCKETS_MAX = 50_000;
/** "Bursts of a fifth of it": twelve seconds' worth at once, then the steady rate. */
const BURST_PART = 5;

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** Buckets of one size, by caller. */
export class TokenBuckets {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perMs: number;
  /** In order of last use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock;
    this.#burst = Math.max(1, perMinute / BURST_PART);
    this.#perMs = perMinute / 60_000;
  }

  /** Takes one token of `caller`: 0 when there was one, else the milliseconds until there will be. */
  take(caller: string): number {
    const bucket = this.#fill(caller);
    if (bucket.tokens < 1) return this.#waitMs(bucket);
    bucket.tokens -= 1;
    return 0;
  }

  /** As `take`, but takes nothing. */
  peek(caller: string): number {
    if (!this.#buckets.has(caller)) return 0;
    const bucket = this.#fill(caller);
    return bucket.tokens < 1 ? this.#waitMs(bucket) : 0;
  }

  get size(): number {
    return this.#buckets.size;
  }

  #fill(caller: string): Bucket {
    // Monotonic: a clock that is set back must not lock everybody out.
    const now = this.#clock.monotonic();
    let bucket = this.#buckets.get(caller);
    if (bucket === undefined) {
      bucket = { tokens: this.#burst, filledAt: now };
      if (this.#buckets.size >= BUCKETS_MAX) this.#forgetOldest();
    } else {
      bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.filledAt) * this.#perMs);
      bucket.filledAt = now;
      this.#buckets.delete(caller);
    }
    this.#buckets.set(caller, bucket);
    return bucket;
  }

  #waitMs(bucket: Bucket): number {
    return Math.ceil((1 - bucket.tokens) / this.#perMs);
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
