/**
 * What a provider tells of refunds: that one of ours has arrived, or failed days later, or that somebody made one by
 * hand in the provider's dashboard. Each is booked once.
 */
import { isTerminal } from '@dc/shared/state/contract';
import { moveContract } from '../contracts/contract-service.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { documentRefundByHand } from '../invoices/payment-documents.ts';
import { overcountedE9s, settleCovered } from './count-by-hand.ts';
import { refundByHandUncounted, refundByHandFailed, refundedByHand } from './ledger-by-hand.ts';
import { balanceOf } from './ledger-store.ts';
import { refundedToWallet, walletRefundConfirmed, walletRefundDecided } from './ledger-wallet.ts';
import { accounts, refundFailed } from './ledger.ts';
import type { RefundFact } from './payment-provider.ts';
import { listPaymentRefunds, lostRefundId, type PaymentRefundRow, type PaymentRow } from './payment-store.ts';
import { findRefund } from './refund-store.ts';
import { settleRefund, wayOf } from './settle-refund.ts';
import { endRefundKey } from './settlement.ts';

/** Takes what the provider says of a refund of `payment`. */
export async function applyRefundFact(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  fact: RefundFact,
): Promise<void> {
  const rows = await listPaymentRefunds(trx, { payment_key: payment.key });
  const known =
    rows.find(({ external_id, id }) => external_id === fact.id || id === fact.refundKey) ??
    // One that was asked for, and whose answer never came.
    rows.find((row) => row.state === 'pending' && row.external_id === null);
  if (known === undefined && fact.status === 'failed') return; // Made by hand, and it never left.
  const row = known ?? (await insertByHand(context, trx, payment, fact));
  const isNews = row.state !== fact.status && !(row.state === 'failed' || fact.status === 'pending');
  const state = isNews ? fact.status : row.state;
  await trx
    .updateTable('payment_refunds')
    .set({
      external_id: fact.id,
      state: state === 'planned' ? 'pending' : state,
      reason: fact.reason,
      settled_at: isNews ? context.clock.now() : row.settled_at,
    })
    .where('id', '=', row.id)
    .execute();
  if (!isNews) return;
  if (row.refund_key === null) await bookByHand(context, trx, payment, { row, status: fact.status });
  else await bookOurs(context, trx, payment, { row, status: fact.status });
}

async function insertByHand(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  fact: Pick<RefundFact, 'id' | 'refundKey' | 'amount' | 'reason'>,
): Promise<PaymentRefundRow> {
  const amountE9s = fact.amount?.amountE9s ?? payment.amount_e9s + payment.tax_e9s;
  const row: PaymentRefundRow = {
    id: fact.refundKey === null ? `hand:${payment.method}:${fact.id}` : lostRefundId(fact.refundKey),
    ...{ method: payment.method, payment_key: payment.key },
    ...{ refund_key: null, external_id: fact.id, amount_e9s: amountE9s, tax_e9s: 0n },
    ...{ currency: payment.currency, state: 'pending', reason: fact.reason },
    ...{ created_at: context.clock.now(), settled_at: null },
  };
  await trx.insertInto('payment_refunds').values(row).execute();
  return row;
}

/** A part of a refund that we sent has arrived, or has failed: at once, or after it had been said to have arrived. */
async function bookOurs(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  { row, status }: { row: PaymentRefundRow; status: 'succeeded' | 'failed' | 'pending' },
): Promise<void> {
  const key = row.refund_key ?? '';
  const refund = await findRefund(trx, key);
  if (refund === null) return;
  if (refund.confirmed_at === null) {
    const way = await wayOf(trx, key);
    if (way !== null) await settleRefund(context, trx, key, way);
    return;
  }
  if (status !== 'failed' || row.state !== 'succeeded') return;
  // The renter's card or account is gone: what came back is the renter's all the same.
  const { contract_id: contractId, currency } = refund;
  const money = (amountE9s: bigint) => ({ amountE9s, currency });
  const amount = money(row.amount_e9s - row.tax_e9s);
  const failed = { cause: `${row.id}:failed`, contractId, method: payment.method, amount };
  await context.ledger.append(trx, refundFailed({ ...failed, tax: money(row.tax_e9s) }));
  if (amount.amountE9s === 0n) return;
  const renterPubkey = payment.account_pubkey;
  await context.ledger.append(
    trx,
    refundedToWallet({ cause: `${row.id}:failed:wallet`, contractId, renterPubkey, amount }),
  );
}

async function bookByHand(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  { row, status }: { row: PaymentRefundRow; status: 'succeeded' | 'failed' | 'pending' },
): Promise<void> {
  if (status === 'succeeded')
    return bookOutside(context, trx, payment, { cause: row.id, amountE9s: row.amount_e9s });
  // It came back before it was booked, or after: what was booked from the renter's part stays with the renter.
  if (row.state !== 'succeeded') return;
  const { contract_id: contractId, method, account_pubkey: renterPubkey } = payment;
  const { currency } = row;
  const amount = { amountE9s: row.amount_e9s, currency };
  const cause = `${row.id}:failed`;
  await context.ledger.append(trx, refundByHandFailed({ cause, contractId, method, amount }));
  if (contractId === null) return;
  const shortE9s = await overcountedE9s(trx, contractId);
  if (shortE9s === 0n) return;
  // A refund was settled with it, and the renter has not got it.
  const short = { contractId, amount: { amountE9s: shortE9s, currency } };
  await context.ledger.append(trx, refundByHandUncounted({ ...short, cause: `${cause}:uncounted` }));
  await context.ledger.append(trx, refundedToWallet({ ...short, cause: `${cause}:wallet`, renterPubkey }));
}

/** An authorised payment is gone, and it was not a refund of ours that gave it up. */
export async function applyLoss(context: Context, trx: Transaction, payment: PaymentRow): Promise<void> {
  const rows = await listPaymentRefunds(trx, { payment_key: payment.key });
  if (rows.some(({ state }) => state !== 'failed')) return;
  const fact = { id: `void:${payment.key}`, refundKey: null, amount: null, reason: null };
  const row = await insertByHand(context, trx, payment, fact);
  await trx
    .updateTable('payment_refunds')
    .set({ state: 'succeeded', settled_at: context.clock.now() })
    .where('id', '=', row.id)
    .execute();
  await bookOutside(context, trx, payment, { cause: row.id, amountE9s: row.amount_e9s });
}

/**
 * Money went back without us. It is booked as ours to give, and counts towards what the contract owes its renter
 * (count-by-hand.ts). A contract whose own payment went back whole ends.
 */
async function bookOutside(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  { cause, amountE9s }: { cause: string; amountE9s: bigint },
): Promise<void> {
  const { method, currency, contract_id: contractId } = payment;
  const coveredE9s =
    contractId === null ? await takeFromWallet(context, trx, payment, { cause, amountE9s }) : 0n;
  if (amountE9s > coveredE9s) {
    const amount = { amountE9s: amountE9s - coveredE9s, currency };
    await context.ledger.append(trx, refundedByHand({ cause, contractId, method, amount }));
    const { account_pubkey: account } = payment;
    await documentRefundByHand(context, trx, { account, contractId, method, causes: [cause], ...amount });
  }
  const contract = await findContract(trx, contractId ?? '');
  if (contract === null) return;
  if (isTerminal(contract.state)) return settleCovered(context, trx, contract.id);
  const isWhole = amountE9s >= payment.amount_e9s && payment.extension_id === null;
  // Our own refund at the end of a contract, in a time that was lost: it had ended.
  const hadEnded = cause.startsWith(lostRefundId(endRefundKey(contract.id)));
  if (!isWhole && !hadEnded) return;
  await end(context, trx, contract);
  await settleCovered(context, trx, contract.id);
}

function end(context: Context, trx: Transaction, contract: ContractRow): Promise<ContractRow> {
  return moveContract(context, trx, contract, {
    event: 'cancel',
    actor: 'system',
    reason: 'Its payment went back to the payer at the payment provider.',
  });
}

async function takeFromWallet(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  { cause, amountE9s }: { cause: string; amountE9s: bigint },
): Promise<bigint> {
  const { account_pubkey: renterPubkey, currency, method } = payment;
  const balance = await balanceOf(trx, accounts.renterWallet(renterPubkey), currency);
  const coveredE9s = balance.amountE9s < amountE9s ? balance.amountE9s : amountE9s;
  if (coveredE9s <= 0n) return 0n;
  const amount = { amountE9s: coveredE9s, currency };
  await context.ledger.append(trx, walletRefundDecided({ cause: `${cause}:decided`, renterPubkey, amount }));
  await context.ledger.append(
    trx,
    walletRefundConfirmed({ cause: `${cause}:confirmed`, renterPubkey, amount, method }),
  );
  const causes = [`${cause}:confirmed`];
  const back = { account: renterPubkey, contractId: null, method, causes, ...amount };
  await documentRefundByHand(context, trx, back);
  return coveredE9s;
}
