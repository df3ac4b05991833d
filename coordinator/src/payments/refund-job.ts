/** Sends refunds that were decided: through the payment provider, or into the wallet; then books where they went. */
import { AppError } from '@dc/shared/errors';
import { findContract } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import { assertActing } from '../safe-mode/safe-mode.ts';
import type { PaymentProvider } from './payment-provider.ts';
import { isKeptBack } from './refund-gate-store.ts';
import { refundThrough } from './refund-parts.ts';
import { findRefund } from './refund-store.ts';
import { settleRefund } from './settle-refund.ts';

/** The outbox handler of REFUND_TOPIC. Idempotent by key: a crash between the two steps asks again with the same key. */
export async function sendRefund(
  context: Context,
  payments: ReadonlyMap<string, PaymentProvider>,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const refund = await findRefund(context.db.read, key);
  if (refund === null || refund.confirmed_at !== null) return;
  await assertActing(context.db.read);
  // Nothing is sent on its way before it is decided; this is for a row that is there all the same.
  if (await isKeptBack(context.db.read, key))
    throw new AppError('SERVICE_UNAVAILABLE', 'The refund waits for an admin to approve it.');
  const contract = await findContract(context.db.read, refund.contract_id);
  const provider = contract === null ? undefined : payments.get(contract.payment_method);
  if (contract === null || provider === undefined) {
    throw new AppError('SERVICE_UNAVAILABLE', 'The payment method of this refund is not configured.');
  }
  const amount = { amountE9s: refund.amount_e9s, currency: refund.currency };
  const way = await refundThrough(context, provider, { key, contract, amount }, signal);
  // An event of the provider, or the sweep, brings what became of it.
  if (way === 'pending') return;
  await context.db.write((trx) => settleRefund(context, trx, key, way));
}
