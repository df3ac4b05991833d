/** A payment provider whose money comes later, and whose refunds can fail, as real ones do. */
import { AppError } from '@dc/shared/errors';
import type { TestCoordinator } from '../../testing/test-coordinator.ts';
import type { PaymentNotice, PaymentProvider, RefundRequest } from '../payment-provider.ts';
import { applyPaymentNotice } from '../payment-service.ts';

export class SlowPayment implements PaymentProvider {
  readonly method = 'slow';
  /** Every call for a refund, also those that failed. */
  readonly calls: RefundRequest[] = [];
  /** What was paid back, by key: the same key pays once. */
  readonly paidBack = new Map<string, RefundRequest>();
  /** How many of the next refunds fail. */
  failures = 0;
  /** Whether the money has moved all the same where a refund fails. */
  losesAnswers = false;

  settleAtOnce(): null {
    return null;
  }

  refund(request: RefundRequest): Promise<void> {
    this.calls.push(request);
    const fails = this.failures > 0;
    if (fails) this.failures -= 1;
    if (!fails || this.losesAnswers) this.paidBack.set(request.key, request);
    return fails ? Promise.reject(new AppError('SERVICE_UNAVAILABLE')) : Promise.resolve();
  }
}

/** Brings a notice of the provider, as its webhook would. False where it was known. */
export function notify(
  { context }: TestCoordinator,
  notice: PaymentNotice,
  method = 'slow',
): Promise<boolean> {
  return context.db.write((trx) => applyPaymentNotice(context, trx, method, notice));
}
