/** How long to wait: after a failure (capped, jittered, obeying Retry-After) and between two beats. Pure. */
import { randomFraction, type Random } from '@dc/shared/random';
import { isAppError } from '@dc/shared/errors';

/** The longest wait that another side may ask of us: a typing error there must not stop an agent for a year. */
const RETRY_AFTER_MS_MAX = 15 * 60_000;

/** The bounds of a backoff. */
export interface BackoffLimits {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * The wait before try number `failures + 1`, in milliseconds: half to all of `baseMs` doubled with every failure,
 * at most `capMs`. Never less than what `error` asks for by Retry-After.
 */
export function backoffMs(failures: number, limits: BackoffLimits, random: Random, error?: unknown): number {
  const ceiling = Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(Math.max(0, failures - 1), 30));
  // Not from 0: a retry at once would only meet the same failure. Half fixed, half free spreads a crowd enough.
  const jittered = ceiling / 2 + (ceiling / 2) * randomFraction(random);
  const asked = isAppError(error) ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(jittered, Math.min(asked, RETRY_AFTER_MS_MAX));
}

/** `intervalMs` give or take `share` of it, so that agents that started together do not call together for ever. */
export function jittered(intervalMs: number, random: Random, share = 0.2): number {
  return intervalMs * (1 - share + 2 * share * randomFraction(random));
}
