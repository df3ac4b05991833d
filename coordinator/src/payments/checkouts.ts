/**
 * The outside calls of payments that are made elsewhere: opening, asking how they stand, taking what was authorised,
 * closing. Each can be repeated; the provider's names are stored before anything waits on them, and an answer that
 * never came is asked for again by a sweep.
 */
import { AppError, isAppError } from '@dc/shared/errors';
import { isTerminal } from '@dc/shared/state/contract';
import { findContract } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import { findPaymentRate } from '../prices/rate-store.ts';
import { takeTruth } from './payment-facts.ts';
import type { OnlinePayments, PaymentAsk, PaymentProvider, ProviderFact } from './payment-provider.ts';
import { isWaiting, nextLookAt } from './payment-rules.ts';
import {
  findPayment,
  listDuePayments,
  listPaymentRefunds,
  refsOf,
  updatePayment,
  type PaymentRow,
} from './payment-store.ts';

/** The payment methods that this coordinator knows, by name. */
export type Payments = ReadonlyMap<string, PaymentProvider>;

/** How long a renter waits for the checkout before the event stream, or the job, brings it. */
const OPEN_NOW_MS = 5_000;
const DUE_PAGE = 50;

/** Everything that a call about one payment needs. */
interface Call {
  payment: PaymentRow;
  provider: PaymentProvider;
  online: OnlinePayments;
}

async function prepare(context: Context, payments: Payments, key: string): Promise<Call | null> {
  const payment = await findPayment(context.db.read, key);
  if (payment === null) return null;
  const provider = payments.get(payment.method);
  if (provider?.online === undefined)
    throw new AppError('PAYMENT_PROVIDER_UNAVAILABLE', `${payment.method} is not configured any more.`);
  return { payment, provider, online: provider.online };
}

/** Opens the payment at its provider, and keeps where it can be paid. Nothing where that was done, or is not wanted. */
export async function openPayment(
  context: Context,
  payments: Payments,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const call = await prepare(context, payments, key);
  if (call === null || call.payment.state !== 'asked') return;
  const { payment, online } = call;
  try {
    const opened = await online.create(await askOf(context, payment), signal);
    await context.db.write(async (trx) => {
      const current = await findPayment(trx, key);
      if (current === null) return;
      await updatePayment(trx, current, { checkout_url: opened.checkoutUrl });
      await takeTruth(context, trx, call.provider, {
        key,
        facts: [{ ...factOf(payment, 'open'), refs: { ...refsOf(payment), ...opened, chargeRef: null } }],
      });
    });
  } catch (error) {
    if (!isAppError(error, 'PAYMENT_REFUSED')) throw error;
    await take(context, call, [{ ...factOf(payment, 'failed'), reason: error.message }]);
  }
  // The contract may have ended while we asked.
  const after = await findPayment(context.db.read, key);
  if (after !== null && !isWaiting(after.state)) await closeAt(context, call, signal);
}

async function askOf(context: Context, payment: PaymentRow): Promise<PaymentAsk> {
  const rate = await findPaymentRate(context.db.read, payment.key);
  return {
    key: payment.key,
    amount: { amountE9s: payment.amount_e9s, currency: payment.currency },
    description: payment.description,
    isForDelivery: payment.is_for_delivery === 1,
    expiresAt: payment.expires_at,
    email: payment.email,
    tokenAmountE9s: rate?.token_amount_e9s ?? null,
  };
}

function factOf(payment: PaymentRow, status: 'open' | 'failed' | 'expired') {
  return {
    about: 'payment' as const,
    refs: refsOf(payment),
    status,
    amount: null,
    taxE9s: 0n,
    reason: null,
  };
}

async function take(
  context: Context,
  { payment, provider }: Call,
  facts: readonly ProviderFact[],
): Promise<void> {
  await context.db.write((trx) => takeTruth(context, trx, provider, { key: payment.key, facts }));
}

/**
 * Opens the payment for somebody who waits, for a few seconds at most. Never throws: what did not work now is done by
 * the job.
 */
export async function openPaymentNow(context: Context, payments: Payments, key: string): Promise<void> {
  const abort = new AbortController();
  const late = Promise.withResolvers<undefined>();
  const cancel = context.clock.schedule(OPEN_NOW_MS, () => {
    abort.abort(new AppError('PAYMENT_PROVIDER_UNAVAILABLE'));
    late.resolve(undefined);
  });
  const opening = openPayment(context, payments, key, abort.signal).catch((error: unknown) => {
    context.log.warn({ err: error, payment: key }, 'payment.not_opened_yet');
  });
  await Promise.race([opening, late.promise]);
  cancel();
}

/** Asks how the payment stands. For the return page and the sweep. */
export async function lookAtPayment(
  context: Context,
  payments: Payments,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const call = await prepare(context, payments, key);
  if (call === null) return;
  if (call.payment.external_id === null) return openPayment(context, payments, key, signal);
  const facts = await call.online.fetchTruth(refsOf(call.payment), signal);
  await take(context, call, facts);
}

/** The same for the return page: for a few seconds at most, and it never throws. */
export async function lookAtPaymentNow(context: Context, payments: Payments, key: string): Promise<void> {
  const payment = await findPayment(context.db.read, key);
  if (payment === null || !isWaiting(payment.state)) return;
  const abort = new AbortController();
  const cancel = context.clock.schedule(OPEN_NOW_MS, () =>
    abort.abort(new AppError('PAYMENT_PROVIDER_UNAVAILABLE')),
  );
  try {
    await lookAtPayment(context, payments, key, abort.signal);
  } catch (error) {
    // The page shows what we know; an event or the sweep brings the rest.
    context.log.warn({ err: error, payment: key }, 'payment.truth_unknown');
  } finally {
    cancel();
  }
}

/** Looks at every payment that has been silent for too long: a lost webhook is nothing that anybody notices. */
export async function sweepPayments(
  context: Context,
  payments: Payments,
  signal: AbortSignal,
): Promise<void> {
  const { clock, db, log } = context;
  for (const payment of await listDuePayments(db.read, clock.now(), DUE_PAGE)) {
    if (signal.aborted) return;
    // Put off first: one that cannot be asked for must not keep the others waiting.
    await db.write(async (trx) => {
      const looks = payment.looks + 1;
      const refunds = await listPaymentRefunds(trx, { payment_key: payment.key });
      const isRefundPending = refunds.some(({ state }) => state === 'pending');
      const look_at = nextLookAt(isRefundPending ? 'authorised' : payment.state, looks, clock.now());
      await updatePayment(trx, payment, { looks, look_at });
    });
    try {
      await lookAtPayment(context, payments, payment.key, signal);
    } catch (error) {
      log.warn({ err: error, payment: payment.key }, 'payment.truth_unknown');
    }
  }
}

/** Takes an authorised payment whose contract was delivered. One that has ended is settled by its refund instead. */
export async function capturePayment(
  context: Context,
  payments: Payments,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const call = await prepare(context, payments, key);
  if (call?.payment.state !== 'authorised') return;
  const contract = await findContract(context.db.read, call.payment.contract_id ?? '');
  if (contract !== null && isTerminal(contract.state) && contract.state !== 'expired') return;
  const facts = await call.online.capture(refsOf(call.payment), signal);
  await take(context, call, facts);
}

/** Makes sure that nobody pays any more for what has ended; money that is faster goes back. */
export async function closePayment(
  context: Context,
  payments: Payments,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const call = await prepare(context, payments, key);
  if (call === null || !isWaiting(call.payment.state)) return;
  if (call.payment.external_id === null) return closeUnnamed(context, call, signal);
  await closeAt(context, call, signal);
}

/** It may have been opened by a call whose answer was lost, and paid: asking again tells its name. */
async function closeUnnamed(context: Context, call: Call, signal: AbortSignal): Promise<void> {
  const { payment, online } = call;
  try {
    const opened = await online.create(await askOf(context, payment), signal);
    await take(context, call, await online.close({ ...refsOf(payment), ...opened }, signal));
  } catch (error) {
    if (!isAppError(error, 'PAYMENT_REFUSED')) throw error;
    await take(context, call, [{ ...factOf(payment, 'failed'), reason: error.message }]);
  }
}

async function closeAt(context: Context, call: Call, signal: AbortSignal): Promise<void> {
  const payment = (await findPayment(context.db.read, call.payment.key)) ?? call.payment;
  if (payment.external_id === null || payment.state === 'paid' || payment.state === 'authorised') return;
  await take(context, call, await call.online.close(refsOf(payment), signal));
}
