/** Errors of Stripe's library as ours: which are worth another try, and which are a no. Nothing of Stripe's texts gets out. */
import Stripe from 'stripe';
import { AppError, isAppError } from '@dc/shared/errors';

const { errors } = Stripe;

/** Stripe says no to this very request, and will say so again. */
export function isRefusal(error: unknown): boolean {
  return isAppError(error, 'PAYMENT_REFUSED');
}

/** What went wrong with the call `what`. An AppError stays as it is. */
export function asProviderError(error: unknown, what: string): unknown {
  if (!(error instanceof errors.StripeError)) return error;
  const code = error.code ?? error.type;
  const status = error.statusCode ?? 0;
  const isNo =
    (error instanceof errors.StripeInvalidRequestError || error instanceof errors.StripeCardError) &&
    status >= 400 &&
    status < 500 &&
    // Somebody holds the object this moment.
    code !== 'lock_timeout' &&
    code !== 'idempotency_key_in_use' &&
    status !== 409 &&
    status !== 429;
  if (isNo) return new AppError('PAYMENT_REFUSED', `Stripe refuses it: ${what}, ${code}.`, { cause: error });
  const retryAfter = Number(error.headers?.['retry-after']);
  const detail = status === 401 || status === 403 ? 'does not accept our key' : 'gives no usable answer';
  return new AppError('PAYMENT_PROVIDER_UNAVAILABLE', `Stripe ${detail} (${what}, ${code}).`, {
    cause: error,
    ...(retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
  });
}
