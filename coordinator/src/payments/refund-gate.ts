/**
 * The gate that refunds pass: up to the configured bounds they leave by themselves, above them an admin decides. What
 * waits is owed to the renter all the time (`refund_due`), and is theirs whatever is decided: approved, it goes back
 * the way it came; declined, into their wallet. docs/decisions/refund-gate.md says why.
 */
import { newUuid } from '@dc/shared/ids';
import type { Money } from '@dc/shared/money/money';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { exceededBound, type RefundBound } from './refund-bounds.ts';
import { REFUND_TOPIC } from './refund-topic.ts';
import { listPayments } from './payment-store.ts';
import { addToDay, insertRequest, refundedToday } from './refund-gate-store.ts';

/** A refund that was booked in this transaction. */
export interface BookedRefund {
  key: string;
  contractId: string;
  amount: Money;
}

/** Lets the refund leave, or keeps it for an admin to decide, in the transaction that books it. */
export async function passGate(context: Context, trx: Transaction, refund: BookedRefund): Promise<void> {
  const contract = await findContract(trx, refund.contractId);
  if (contract === null) throw new Error(`refund ${refund.key} has no contract`);
  const bound = await boundOf(context, trx, contract, refund.amount);
  if (bound === null) {
    await context.outbox.enqueue(trx, REFUND_TOPIC, { key: refund.key, payload: {} });
    return;
  }
  await insertRequest(trx, {
    id: newUuid(context.clock, context.random),
    refund_key: refund.key,
    bound,
    asked_at: context.clock.now(),
    ...{ decision: null, decided_by: null, decided_at: null, reason: null },
  });
  trx.afterCommit(() =>
    context.log.warn({ refund: refund.key, contract: contract.id, bound }, 'refund.waits_for_approval'),
  );
}

/** The bound that keeps the refund back; null where it may leave, which is counted. */
async function boundOf(
  { config, clock }: Context,
  trx: Transaction,
  contract: ContractRow,
  amount: Money,
): Promise<RefundBound | null> {
  // What was never delivered goes back in full, always, without a person (I2): no more than was paid for it can.
  if (contract.active_at === null) return null;
  if (!(await leavesUs(trx, contract))) return null;
  const day = new Date(clock.now()).toISOString().slice(0, 10);
  const place = { day, renter: contract.renter_pubkey, currency: amount.currency };
  const bound = exceededBound(config.refunds, amount, await refundedToday(trx, place));
  if (bound === null) await addToDay(trx, place, amount.amountE9s);
  return bound;
}

/**
 * Whether money that was taken leaves us. Into a wallet it does not; and an authorisation is given up rather than
 * paid back, which cannot wait: it would lapse, and what the provider earned with it.
 */
async function leavesUs(reader: Reader, contract: ContractRow): Promise<boolean> {
  if (contract.payment_method === 'wallet') return false;
  const payments = await listPayments(reader, contract.id);
  if (payments.some(({ state }) => state === 'authorised')) return false;
  const paid = payments.filter(({ state }) => state === 'paid');
  return paid.length === 0 || paid.some(({ refund_to: refundTo }) => refundTo === 'source');
}
