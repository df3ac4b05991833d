/** Asks for payments that are made elsewhere: the row, and the word in the outbox that opens it at the provider. */
import { AppError } from '@dc/shared/errors';
import { formatMoney, type Money } from '@dc/shared/money/money';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { defineTopic } from '../jobs/outbox.ts';
import { fixTokenPrice } from '../prices/token-price.ts';
import type { PaymentProvider } from './payment-provider.ts';
import { isWaiting } from './payment-rules.ts';
import { findPayment, insertPayment, listPayments } from './payment-store.ts';

/** Payments to open at their provider; the key of the row is the payment's. */
export const OPEN_TOPIC = defineTopic<Record<string, never>>('payment.open');
/** Authorised payments to take, since delivery is verified. */
export const CAPTURE_TOPIC = defineTopic<Record<string, never>>('payment.capture');
/** Payments of which an event says that something has come, and not yet what. */
export const LOOK_TOPIC = defineTopic<Record<string, never>>('payment.look');
/** Payments that nobody should make any more. */
export const CLOSE_TOPIC = defineTopic<Record<string, never>>('payment.close');

export const keyOfContract = (contractId: string): string => `contract:${contractId}`;
export const keyOfExtension = (extensionId: string): string => `extension:${extensionId}`;
export const keyOfTopUp = (id: string): string => `top-up:${id}`;

/** Whoever asked opens the payment at once; where that came to nothing, the job does. */
const OPEN_AFTER_MS = 10_000;
/** Checkouts of less than half an hour are not to be had. */
const PAYABLE_MS_MIN = 35 * 60_000;
const PAYABLE_MS_MAX = 23 * 60 * 60_000;

/** What is to be paid, by whom, and what it is for. */
export interface WantedPayment {
  key: string;
  account: string;
  contractId: string | null;
  extensionId: string | null;
  amount: Money;
  description: string;
  isForDelivery: boolean;
  refundTo: 'source' | 'wallet';
}

/**
 * Notes what is to be paid. Throws PAYMENT_AMOUNT_UNSUPPORTED where this provider cannot take it, and TOKEN_RATE_STALE
 * where what it costs in its token is not known.
 */
export async function askForPayment(
  context: Context,
  trx: Transaction,
  { method, online }: PaymentProvider,
  wanted: WantedPayment,
): Promise<void> {
  const { amount } = wanted;
  if (online === undefined) throw new Error(`${method} settles at once`);
  assertPayable(amount, online.capabilities.stepE9s(amount.currency));
  const now = context.clock.now();
  const payableMs = Math.max(context.config.contracts.requestTimeoutMs, PAYABLE_MS_MIN);
  const account = await trx
    .selectFrom('accounts')
    .select('email')
    .where('pubkey', '=', wanted.account)
    .executeTakeFirst();
  await insertPayment(trx, {
    key: wanted.key,
    method,
    account_pubkey: wanted.account,
    contract_id: wanted.contractId,
    extension_id: wanted.extensionId,
    amount_e9s: amount.amountE9s,
    currency: amount.currency,
    tax_e9s: 0n,
    state: 'asked',
    is_for_delivery: wanted.isForDelivery ? 1 : 0,
    description: wanted.description,
    email: account?.email ?? null,
    refund_to: wanted.refundTo,
    external_id: null,
    payment_ref: null,
    charge_ref: null,
    checkout_url: null,
    reason: null,
    created_at: now,
    expires_at: now + Math.min(payableMs, PAYABLE_MS_MAX),
    look_at: null,
    looks: 0,
    arrived_at: null,
    settled_at: null,
  });
  const { token } = online.capabilities;
  if (token !== undefined)
    await fixTokenPrice(
      trx,
      { paymentKey: wanted.key, contractId: wanted.contractId, amount, token },
      { config: context.config.prices, now },
    );
  await context.outbox.enqueue(trx, OPEN_TOPIC, {
    key: wanted.key,
    payload: {},
    notBeforeAt: now + OPEN_AFTER_MS,
  });
}

/** Throws PAYMENT_AMOUNT_UNSUPPORTED unless `amount` can be paid in steps of `stepE9s`. */
export function assertPayable(amount: Money, stepE9s: bigint | null): void {
  if (stepE9s === null)
    throw new AppError('PAYMENT_AMOUNT_UNSUPPORTED', `${amount.currency} cannot be paid in this way.`);
  if (amount.amountE9s > 0n && amount.amountE9s % stepE9s === 0n) return;
  const step = formatMoney({ amountE9s: stepE9s, currency: amount.currency });
  throw new AppError(
    'PAYMENT_AMOUNT_UNSUPPORTED',
    `${formatMoney(amount)} is no multiple of ${step}, which is the least that can be paid in this way.`,
  );
}

/** What a contract's payments have to do when it becomes active or ends, in the same transaction. */
export async function followWithPayments(
  context: Context,
  trx: Transaction,
  contract: { id: string; state: string },
  hasEnded: boolean,
): Promise<void> {
  for (const payment of await listPayments(trx, contract.id)) {
    if (hasEnded && isWaiting(payment.state))
      await context.outbox.enqueue(trx, CLOSE_TOPIC, { key: payment.key, payload: {} });
    if (!hasEnded && contract.state === 'active' && payment.state === 'authorised')
      await context.outbox.enqueue(trx, CAPTURE_TOPIC, { key: payment.key, payload: {} });
  }
}

/** Longer than a bank takes. */
const ON_ITS_WAY_MS_MAX = 21 * 24 * 60 * 60_000;

/** Whether the contract was paid in a way that takes days, and the money has not come yet. */
export async function isOnItsWay(reader: Reader, contractId: string, now: number): Promise<boolean> {
  const payment = await findPayment(reader, keyOfContract(contractId));
  // One that did not fit is not looked at any more.
  if (payment?.state !== 'processing' || payment.look_at === null) return false;
  return now - payment.created_at < ON_ITS_WAY_MS_MAX;
}

/** Where the contract (by its id) and its extensions (by theirs) can be paid, as far as they wait for that. */
export async function findCheckoutUrls(
  reader: Reader,
  contract: { id: string; state: string; payment_state: string },
  extensions: readonly { id: string; state: string }[],
): Promise<ReadonlyMap<string, string>> {
  const urls = new Map<string, string>();
  const isUnpaid = contract.payment_state === 'pending' && contract.state === 'requested';
  const wanted = [
    ...(isUnpaid ? [{ id: contract.id, key: keyOfContract(contract.id) }] : []),
    ...extensions
      .filter(({ state }) => state === 'pending')
      .map(({ id }) => ({ id, key: keyOfExtension(id) })),
  ];
  for (const { id, key } of wanted) {
    const payment = await findPayment(reader, key);
    if (payment?.checkout_url != null && isWaiting(payment.state)) urls.set(id, payment.checkout_url);
  }
  return urls;
}
