/**
 * Sends a refund back the way its money came. A contract can have been paid in several payments (extensions), and a
 * provider takes whole cents only: the refund is cut into parts, one a payment, and what cannot be sent (a fraction of
 * a cent, a part that the provider refuses for good) goes to the renter's wallet, so that nothing is lost. The parts
 * are stored before anything is sent; each has its own key for ever.
 */
import { AppError } from '@dc/shared/errors';
import type { Money } from '@dc/shared/money/money';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { countByHand } from './count-by-hand.ts';
import { takeTruth } from './payment-facts.ts';
import type { PaymentProvider } from './payment-provider.ts';
import {
  listPaymentRefunds,
  listPayments,
  refsOf,
  findPayment,
  isDisputed,
  listRefundsOfContract,
  lostRefundId,
  type PaymentRefundRow,
  type PaymentRow,
} from './payment-store.ts';
import { refundAudited } from './refund-calls.ts';
import { findRefund } from './refund-store.ts';
import { wayOf, type RefundWay } from './settle-refund.ts';

/** A refund that was decided. */
export interface DecidedRefund {
  key: string;
  contract: ContractRow;
  amount: Money;
}

/** A dispute can take months; the outbox looks again when it closes. */
const DISPUTED_RETRY_MS = 60 * 60_000;
/** A refund to a bank account takes days. */
const PENDING_LOOK_MS = 60 * 60_000;

/**
 * Asks the provider how the contract's payments stand. What went back without us, or in a time that was lost with a
 * restored backup, is known before anything is sent.
 */
async function learnTruth(
  context: Context,
  provider: PaymentProvider,
  { key, contract }: DecidedRefund,
  signal: AbortSignal,
): Promise<void> {
  const { online } = provider;
  const isPlanned = (await listPaymentRefunds(context.db.read, { refund_key: key })).length > 0;
  if (online === undefined || isPlanned) return;
  for (const payment of await listPayments(context.db.read, contract.id)) {
    if (payment.external_id === null) continue;
    const facts = await online.fetchTruth(refsOf(payment), signal);
    await context.db.write((trx) => takeTruth(context, trx, provider, { key: payment.key, facts }));
  }
}

/**
 * Sends the refund and says where it went, or `pending` where the provider will say later what became of it. Throws
 * what is to be tried again with the same key.
 */
export async function refundThrough(
  context: Context,
  provider: PaymentProvider,
  refund: DecidedRefund,
  signal: AbortSignal,
): Promise<RefundWay | 'pending'> {
  const { key, contract, amount } = refund;
  if (provider.source === 'wallet') return { processorE9s: 0n, taxE9s: 0n, walletE9s: amount.amountE9s };
  if (provider.online === undefined) {
    const request = { key, contractId: contract.id, amount };
    await refundAudited(context, provider, { refundKey: key, request }, signal);
    return { processorE9s: amount.amountE9s, taxE9s: 0n, walletE9s: 0n };
  }
  await assertUndisputed(context.db.read, contract.id);
  await learnTruth(context, provider, refund, signal);
  const parts = await context.db.write((trx) => planParts(context, trx, provider, refund));
  for (const part of parts) {
    if (part.state === 'planned')
      await sendPart(context, provider, { part, contractId: contract.id }, signal);
  }
  return (await wayOf(context.db.read, refund.key)) ?? 'pending';
}

async function assertUndisputed(reader: Reader, contractId: string): Promise<void> {
  if (!(await isDisputed(reader, contractId))) return;
  throw new AppError(
    'PAYMENT_PROVIDER_UNAVAILABLE',
    'A dispute about the payment is open: nothing is refunded until it is decided.',
    { retryAfterMs: DISPUTED_RETRY_MS },
  );
}

/** Cuts what did not go by hand into parts, the newest payment first, once: later calls get the same. */
async function planParts(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  { key, contract, amount }: DecidedRefund,
): Promise<PaymentRefundRow[]> {
  const planned = await listPaymentRefunds(trx, { refund_key: key });
  if (planned.length > 0) return planned;
  const parts: PaymentRefundRow[] = [];
  let leftE9s = amount.amountE9s - (await countByHand(context, trx, key));
  // Our own of a lost time have names at the provider that must not be used again.
  const isLost = await lostNames(trx, contract.id);
  let number = 0;
  const nextName = (): string => {
    do number += 1;
    while (isLost(`${key}#${String(number)}`));
    return `${key}#${String(number)}`;
  };
  for (const payment of leftE9s > 0n ? await paymentsOf(trx, key, contract.id) : []) {
    const part = await planPart(context, trx, provider, { payment, wantedE9s: leftE9s });
    if (part === null) continue;
    leftE9s -= part.netE9s;
    if (part.row !== null) parts.push({ ...part.row, id: nextName(), refund_key: key });
    if (leftE9s <= 0n) break;
  }
  if (leftE9s > 0n)
    throw new AppError('LEDGER_REFUSED', 'More is to be refunded than the payments of the contract hold.');
  if (parts.length > 0) await trx.insertInto('payment_refunds').values(parts).execute();
  return parts;
}

async function lostNames(trx: Transaction, contractId: string): Promise<(name: string) => boolean> {
  const names = new Set((await listRefundsOfContract(trx, contractId)).map(({ id }) => id));
  return (name) => names.has(lostRefundId(name));
}

/** The payments that the refund may be taken from: the one that its key names first, and none that another one names. */
async function paymentsOf(trx: Transaction, key: string, contractId: string): Promise<PaymentRow[]> {
  const prefix = `refund:${contractId}:payment:`;
  const paid = (await listPayments(trx, contractId))
    .reverse()
    .filter(({ state }) => state === 'paid' || state === 'authorised');
  const named = paid.filter((payment) => key === `${prefix}${payment.key}`);
  const others = [];
  for (const payment of paid)
    if ((await findRefund(trx, `${prefix}${payment.key}`)) === null) others.push(payment);
  return [...named, ...others];
}

/** What of `wantedE9s` this payment covers (`netE9s`), and the row of what is sent; null where nothing is left of it. */
async function planPart(
  context: Context,
  trx: Transaction,
  { method, online }: PaymentProvider,
  { payment, wantedE9s }: { payment: PaymentRow; wantedE9s: bigint },
): Promise<{ netE9s: bigint; row: PaymentRefundRow | null } | null> {
  const before = (await listPaymentRefunds(trx, { payment_key: payment.key })).filter(
    ({ state }) => state !== 'failed',
  );
  const sum = (field: 'amount_e9s' | 'tax_e9s'): bigint =>
    before.reduce((total, row) => total + row[field], 0n);
  const givenE9s = sum('amount_e9s') - sum('tax_e9s');
  const openE9s = payment.amount_e9s - givenE9s;
  if (openE9s <= 0n) return null;
  const netE9s = wantedE9s < openE9s ? wantedE9s : openE9s;
  // Money that was never taken cannot be put into a wallet.
  if (payment.refund_to === 'wallet' && payment.state === 'paid') return { netE9s, row: null };
  const taxE9s = (payment.tax_e9s * (givenE9s + netE9s)) / payment.amount_e9s - sum('tax_e9s');
  const stepE9s = online?.capabilities.stepE9s(payment.currency) ?? 1n;
  const grossE9s = ((netE9s + taxE9s) / stepE9s) * stepE9s;
  const row: PaymentRefundRow = {
    ...{ id: '', method, payment_key: payment.key, refund_key: null, external_id: null },
    amount_e9s: grossE9s,
    tax_e9s: taxE9s < grossE9s ? taxE9s : grossE9s,
    currency: payment.currency,
    ...{ state: 'planned', reason: null, created_at: context.clock.now(), settled_at: null },
  };
  return { netE9s, row: grossE9s > 0n ? row : null };
}

/** Says that it is being asked for, before it is: from here on it is not asked for again. */
async function markAsked(context: Context, part: PaymentRefundRow, payment: PaymentRow): Promise<void> {
  await context.db.write(async (trx) => {
    await trx.updateTable('payment_refunds').set({ state: 'pending' }).where('id', '=', part.id).execute();
    await trx
      .updateTable('payments')
      .set({ look_at: context.clock.now() + PENDING_LOOK_MS })
      .where('key', '=', payment.key)
      .execute();
  });
}

/** Asks the provider to send one part, and keeps what it answers. */
async function sendPart(
  context: Context,
  provider: PaymentProvider,
  { part, contractId }: { part: PaymentRefundRow; contractId: string },
  signal: AbortSignal,
): Promise<void> {
  const payment = await findPayment(context.db.read, part.payment_key);
  if (payment === null) throw new Error(`refund ${part.id} has no payment`);
  if (provider.online?.capabilities.repeatsRefunds === false) await markAsked(context, part, payment);
  const request = {
    key: part.id,
    contractId,
    amount: { amountE9s: part.amount_e9s, currency: part.currency },
    payment: refsOf(payment),
  };
  const refundKey = part.refund_key ?? part.id;
  const answer = await refundAudited(context, provider, { refundKey, request }, signal);
  if (answer === null) throw new Error(`${provider.method} does not say what became of a refund`);
  const now = context.clock.now();
  await context.db.write(async (trx) => {
    await trx
      .updateTable('payment_refunds')
      .set({
        external_id: answer.id,
        state: answer.status,
        settled_at: answer.status === 'pending' ? null : now,
      })
      .where('id', '=', part.id)
      .where('external_id', 'is', null) // An event may have been faster.
      .where('state', 'in', ['planned', 'pending'])
      .execute();
    if (answer.status === 'pending')
      await trx
        .updateTable('payments')
        .set({ look_at: now + PENDING_LOOK_MS })
        .where('key', '=', payment.key)
        .execute();
  });
}
