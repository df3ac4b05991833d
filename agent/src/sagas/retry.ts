/** PURE: whether and when a step is tried again. */
import { ERRORS, isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { FailedAttempt, Failure } from '../journal/saga-event.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { RetryPolicy } from './saga.ts';

/** What has been tried so far, the failed try included. */
export interface Tries {
  readonly attempts: number;
  readonly firstStartedAt: number;
}

/** When it failed, and the dice for the jitter. */
export interface RetryMoment {
  readonly now: number;
  readonly random: Random;
}

/**
 * The failed attempt as it is recorded. It is retried where the error's kind allows it and the policy's limits
 * on tries and time do too; a policy without a limit on tries retries everything.
 */
export function planRetry(
  error: unknown,
  policy: RetryPolicy,
  { attempts, firstStartedAt }: Tries,
  at: RetryMoment,
): FailedAttempt {
  const failure = describeFailure(error);
  const isRetryable = isAppError(error) && error.isRetryable && attempts < policy.attempts;
  if (!isRetryable && policy.attempts !== Infinity) return { ...failure, retryAt: null };
  const retryAt = Math.round(at.now + backoffMs(attempts, policy, at.random, error));
  return { ...failure, retryAt: retryAt - firstStartedAt > policy.totalMs ? null : retryAt };
}

/** What is kept and shown of an error. Nothing of an error that is not ours: its text may hold anything. */
export function describeFailure(error: unknown): Failure {
  if (isAppError(error)) return { code: error.code, detail: error.message, remedy: error.remedy };
  return { code: 'INTERNAL_BUG', detail: ERRORS.INTERNAL_BUG.title, remedy: ERRORS.INTERNAL_BUG.remedy };
}
