/** What becomes of a row after a run: done, another attempt and when, or a person's attention. Pure. */
import { isAppError } from '@dc/shared/errors';
import { randomFraction } from '@dc/shared/random';
import type { Random } from '@dc/shared/random';
import type { JobEvent } from './job.ts';
import type { Settlement } from './outbox-leases.ts';

const BASE_MS = 1000;
const CAP_MS = 10 * 60_000;
/** What another side may make us wait: a slip of theirs must not park a refund for a year. */
const RETRY_AFTER_MS_MAX = 60 * 60_000;
const FAILURE_LENGTH_MAX = 500;

/**
 * Milliseconds until the attempt after failed attempt number `attempt`: full jitter, from 0 to a second that doubles
 * with each attempt up to ten minutes. Never less than what the error says by `retryAfterMs`, up to an hour.
 */
function retryDelayMs(attempt: number, error: unknown, random: Random): number {
  const ceilingMs = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt - 1, 30));
  const askedMs = isAppError(error) ? Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX) : 0;
  return Math.max(askedMs, ceilingMs * randomFraction(random));
}

/** One line for the row: what went wrong, for an admin. The whole error is in the log. */
function describeFailure(error: unknown): string {
  const text = isAppError(error) ? `${error.code}: ${error.message}` : String(error);
  return text.slice(0, FAILURE_LENGTH_MAX);
}

/** A run that has ended. */
export interface EndedRun {
  attempt: number;
  attemptsMax: number;
  /** The interval of a periodic job; null for a row of the outbox. */
  everyMs: number | null;
  failure: { error: unknown } | null;
  /** The runner ended it because it is stopping. */
  wasStopped: boolean;
  now: number;
  random: Random;
}

/** Decides. A periodic job never needs attention: it goes on, at least as often as it should run. */
export function settlementOf(run: EndedRun): { outcome: JobEvent['outcome']; settlement: Settlement } {
  const { attempt, attemptsMax, everyMs, failure, now, random } = run;
  if (failure === null) {
    if (everyMs === null) return { outcome: 'done', settlement: { as: 'done', now } };
    return {
      outcome: 'done',
      settlement: { as: 'waiting', at: now + everyMs, attempts: 0, lastError: null },
    };
  }
  const lastError = describeFailure(failure.error);
  if (run.wasStopped) {
    return { outcome: 'returned', settlement: { as: 'waiting', at: now, attempts: attempt - 1, lastError } };
  }
  // Nothing is done in a safe mode, however long: that is no failure of the row's.
  if (isAppError(failure.error, 'COORDINATOR_SAFE_MODE')) {
    const at = Math.ceil(now + retryDelayMs(1, failure.error, random));
    return { outcome: 'returned', settlement: { as: 'waiting', at, attempts: attempt - 1, lastError } };
  }
  if (attempt >= attemptsMax && everyMs === null) {
    return { outcome: 'needs_attention', settlement: { as: 'needs_attention', now, lastError } };
  }
  const delayMs = Math.min(retryDelayMs(attempt, failure.error, random), everyMs ?? Infinity);
  return {
    outcome: 'failed',
    settlement: { as: 'waiting', at: Math.ceil(now + delayMs), attempts: attempt, lastError },
  };
}
