/**
 * Refunds that this database did not make: somebody's in the provider's dashboard, or our own of a time that was lost
 * with a restored backup. The renter has that money, so that it counts towards whatever the contract owes next.
 */
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { AppError } from '@dc/shared/errors';
import { refundByHandCounted } from './ledger-by-hand.ts';
import { listPaymentRefunds, listRefundsOfContract } from './payment-store.ts';
import { findRefund } from './refund-store.ts';
import { settleRefund } from './settle-refund.ts';

/** A bank takes days to say that it took a refund. */
const PENDING_RETRY_MS = 60 * 60_000;

/** What went back by hand for a contract, and how much of it refunds have been settled with. In nano-units. */
async function byHandOf(trx: Transaction, contractId: string) {
  let [givenE9s, pendingE9s] = [0n, 0n];
  for (const row of await listRefundsOfContract(trx, contractId)) {
    if (row.refund_key !== null) continue;
    if (row.state === 'succeeded') givenE9s += row.amount_e9s - row.tax_e9s;
    if (row.state === 'pending') pendingE9s += row.amount_e9s - row.tax_e9s;
  }
  const refunds = await trx
    .selectFrom('refunds')
    .select('by_hand_e9s')
    .where('contract_id', '=', contractId)
    .where('by_hand_e9s', 'is not', null)
    .execute();
  const countedE9s = refunds.reduce((sum, { by_hand_e9s }) => sum + (by_hand_e9s ?? 0n), 0n);
  return { openE9s: givenE9s - countedE9s, pendingE9s };
}

/**
 * How much of the refund `key` went back by hand, counted once for ever. Throws PAYMENT_PROVIDER_UNAVAILABLE while one
 * made by hand is on its way: it may yet fail.
 */
export async function countByHand(context: Context, trx: Transaction, key: string): Promise<bigint> {
  const refund = await findRefund(trx, key);
  if (refund === null) throw new Error(`the refund ${key} was not decided`);
  if (refund.by_hand_e9s !== null) return refund.by_hand_e9s;
  const { contract_id: contractId, currency, amount_e9s: wantedE9s } = refund;
  const { openE9s, pendingE9s } = await byHandOf(trx, contractId);
  if (pendingE9s > 0n)
    throw new AppError(
      'PAYMENT_PROVIDER_UNAVAILABLE',
      'A refund that was made by hand is on its way: it counts, or fails, first.',
      { retryAfterMs: PENDING_RETRY_MS },
    );
  const leastE9s = openE9s < wantedE9s ? openE9s : wantedE9s;
  const countedE9s = leastE9s > 0n ? leastE9s : 0n;
  await trx.updateTable('refunds').set({ by_hand_e9s: countedE9s }).where('key', '=', key).execute();
  if (countedE9s === 0n) return 0n;
  const amount = { amountE9s: countedE9s, currency };
  await context.ledger.append(trx, refundByHandCounted({ cause: `${key}:by-hand`, contractId, amount }));
  return countedE9s;
}

/** Settles refunds of which nothing was sent yet, and all of which has gone back by hand: nobody need decide them. */
export async function settleCovered(context: Context, trx: Transaction, contractId: string): Promise<void> {
  const waiting = await trx
    .selectFrom('refunds')
    .select(['key', 'amount_e9s'])
    .where('contract_id', '=', contractId)
    .where('confirmed_at', 'is', null)
    .where('by_hand_e9s', 'is', null)
    .orderBy('created_at')
    .execute();
  for (const { key, amount_e9s } of waiting) {
    const { openE9s, pendingE9s } = await byHandOf(trx, contractId);
    if (openE9s < amount_e9s || pendingE9s > 0n) continue;
    if ((await listPaymentRefunds(trx, { refund_key: key })).length > 0) continue;
    await countByHand(context, trx, key);
    await settleRefund(context, trx, key, { processorE9s: 0n, taxE9s: 0n, walletE9s: 0n });
  }
}

/** By how much more was counted for the contract than has gone back by hand, since one of those failed. */
export async function overcountedE9s(trx: Transaction, contractId: string): Promise<bigint> {
  const { openE9s } = await byHandOf(trx, contractId);
  return openE9s < 0n ? -openE9s : 0n;
}
