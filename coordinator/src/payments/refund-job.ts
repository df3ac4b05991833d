/** Sends refunds that were decided: asks the payment provider, then books its confirmation. */
import { AppError } from '@dc/shared/errors';
import { nextPaymentState } from '@dc/shared/state/contract';
import { touchContract } from '../contracts/contract-service.ts';
import { findContract } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import { refundConfirmed } from './ledger.ts';
import type { PaymentProvider } from './payment-provider.ts';
import { confirmRefund, findRefund } from './refund-store.ts';
import { endRefundKey } from './settlement.ts';

/** The outbox handler of REFUND_TOPIC. Idempotent by key: a crash between the two steps asks again with the same key. */
export async function sendRefund(
  context: Context,
  payments: ReadonlyMap<string, PaymentProvider>,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const refund = await findRefund(context.db.read, key);
  if (refund === null || refund.confirmed_at !== null) return;
  const contract = await findContract(context.db.read, refund.contract_id);
  const provider = contract === null ? undefined : payments.get(contract.payment_method);
  if (provider === undefined) {
    throw new AppError('SERVICE_UNAVAILABLE', 'The payment method of this refund is not configured.');
  }
  const amount = { amountE9s: refund.amount_e9s, currency: refund.currency };
  await provider.refund({ key, contractId: refund.contract_id, amount }, signal);
  await context.db.write(async (trx) => {
    const now = context.clock.now();
    if (!(await confirmRefund(trx, key, now))) return;
    await context.ledger.append(
      trx,
      refundConfirmed({
        cause: `${key}:confirmed`,
        contractId: refund.contract_id,
        method: provider.method,
        amount,
      }),
    );
    // What was paid twice or too late is back; the contract's own payment stands as it did.
    if (key !== endRefundKey(refund.contract_id)) return;
    const current = await findContract(trx, refund.contract_id);
    if (current === null) throw new Error(`refund ${key} has no contract`);
    const event = refund.amount_e9s === current.total_e9s ? 'refund_all' : 'refund_part';
    const payment_state = nextPaymentState(current.payment_state, event);
    if (payment_state !== null) await touchContract(context, trx, current, { payment_state });
  });
}
