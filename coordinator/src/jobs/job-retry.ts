/** When a failed job is tried again, and what is kept of its failure. Pure. */
import { isAppError } from '@dc/shared/errors';
import { randomFraction } from '@dc/shared/random';
import type { Random } from '@dc/shared/random';

const BASE_MS = 1000;
const CAP_MS = 10 * 60_000;
/** What another side may make us wait: a slip of theirs must not park a refund for a year. */
const RETRY_AFTER_MS_MAX = 60 * 60_000;
const FAILURE_LENGTH_MAX = 500;

/**
 * Milliseconds until the attempt after failed attempt number `attempt`: full jitter, from 0 to a second that doubles
 * with each attempt up to ten minutes. Never less than what the error says by `retryAfterMs`, up to an hour.
 */
export function retryDelayMs(attempt: number, error: unknown, random: Random): number {
  const ceilingMs = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt - 1, 30));
  const askedMs = isAppError(error) ? Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX) : 0;
  return Math.max(askedMs, ceilingMs * randomFraction(random));
}

/** One line for the row: what went wrong, for an admin. The whole error is in the log. */
export function describeFailure(error: unknown): string {
  const text = isAppError(error) ? `${error.code}: ${error.message}` : String(error);
  return text.slice(0, FAILURE_LENGTH_MAX);
}
