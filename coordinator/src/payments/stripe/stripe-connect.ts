/**
 * Payouts as transfers to the providers' Stripe accounts (Connect), from the platform's own balance at Stripe. Stripe
 * forgets idempotency keys after a day: the payout's key is in the transfer's metadata too.
 */
import Stripe from 'stripe';
import { AppError, isAppError } from '@dc/shared/errors';
import { formatMoney, makeMoney, type Money } from '@dc/shared/money/money';
import { untilAborted } from '@dc/shared/until-aborted';
import type { AskAnswer, MadeTransfer, PayoutRoute, TransferAsk, TransferStanding } from '../payout-route.ts';
import { fromMinorUnits, stepE9s, toMinorUnits } from './minor-units.ts';
import { asProviderError } from './stripe-errors.ts';
import { createStripeClient, type StripeSettings } from './stripe-payment.ts';

const PAYOUT_FIELD = 'dc_payout';
/** Refusals that pass: more money arrives, or somebody holds the account this moment. */
const PASSING = new Set(['balance_insufficient', 'insufficient_funds']);
const LISTED_MAX = 100;

/** The payout route `stripe_connect`. */
export function createStripeConnect(settings: Pick<StripeSettings, 'secretKey' | 'apiBase'>): PayoutRoute {
  const stripe = createStripeClient(settings);
  return {
    method: 'stripe_connect',
    assertAccount,
    quote: (_reader, owed) => Promise.resolve({ pays: wholeMinorUnits(owed), terms: {} }),
    ask: (ask, signal) => askFor(stripe, ask, signal),
    tagOf: (key) => key,
    made: (ask, signal) => listMade(stripe, ask, signal),
    look: (ask, reference, signal) => look(stripe, ask, { reference, signal }),
  };
}

function assertAccount(account: string): void {
  if (!/^acct_[A-Za-z0-9]{8,64}$/.test(account))
    throw new AppError('REQUEST_INVALID', 'A Stripe account looks like acct_1032D82eZvKYlo2C.', {
      fields: [{ pointer: '/body/account', detail: 'must be the id of a connected Stripe account' }],
    });
}

/** What of it is whole minor units; the rest stays owed. */
function wholeMinorUnits({ amountE9s, currency }: Money): Money {
  const step = stepE9s(currency);
  const whole = step === null ? 0n : amountE9s - (amountE9s % step);
  if (whole <= 0n)
    throw new AppError(
      'PAYMENT_AMOUNT_UNSUPPORTED',
      `Stripe cannot transfer ${formatMoney({ amountE9s, currency })}.`,
    );
  return makeMoney(whole, currency);
}

async function askFor(stripe: Stripe, ask: TransferAsk, signal: AbortSignal): Promise<AskAnswer> {
  const { key, provider, amount, destination } = ask;
  try {
    const account = await call(signal, 'account', () => stripe.accounts.retrieve(destination));
    if (account.capabilities?.transfers !== 'active')
      return { outcome: 'refused', reason: `The Stripe account ${destination} cannot take transfers yet.` };
    const params = {
      amount: toMinorUnits(amount),
      currency: amount.currency.toLowerCase(),
      destination,
      transfer_group: groupOf(provider),
      metadata: { [PAYOUT_FIELD]: key },
    };
    // Stripe repeats refusals under the same key, too: one that passes is followed by another ask.
    const options = { idempotencyKey: `dc:${key}:${String(ask.askedAt)}` };
    const { id } = await call(signal, 'transfer', () => stripe.transfers.create(params, options));
    return { outcome: 'sent', reference: id };
  } catch (error) {
    if (!isAppError(error, 'PAYMENT_REFUSED')) throw error;
    const code = error.cause instanceof Stripe.errors.StripeError ? (error.cause.code ?? '') : '';
    const reason = error.message;
    return PASSING.has(code) ? { outcome: 'not_now', isSpent: true, reason } : { outcome: 'refused', reason };
  }
}

async function listMade(stripe: Stripe, ask: TransferAsk, signal: AbortSignal): Promise<MadeTransfer[]> {
  const params = { transfer_group: groupOf(ask.provider), limit: LISTED_MAX };
  const { data } = await call(signal, 'transfers', () => stripe.transfers.list(params));
  return data.map(({ id, metadata }) => ({ tag: metadata[PAYOUT_FIELD] ?? null, reference: id }));
}

async function look(
  stripe: Stripe,
  ask: TransferAsk,
  { reference, signal }: { reference: string; signal: AbortSignal },
): Promise<TransferStanding> {
  const transfer = await call(signal, 'transfer', () => stripe.transfers.retrieve(reference));
  const destination =
    typeof transfer.destination === 'string' ? transfer.destination : transfer.destination?.id;
  const isOurs =
    transfer.metadata[PAYOUT_FIELD] === ask.key &&
    destination === ask.destination &&
    fromMinorUnits(transfer.amount, transfer.currency).amountE9s === ask.amount.amountE9s &&
    transfer.currency.toUpperCase() === ask.amount.currency;
  // It is there, so that it has arrived: Stripe's transfers are between balances.
  return { hasArrived: isOurs, reversed: fromMinorUnits(transfer.amount_reversed, transfer.currency) };
}

const groupOf = (provider: string): string => `dc:${provider}`;

async function call<T>(signal: AbortSignal, what: string, run: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  try {
    return await untilAborted(run(), signal);
  } catch (error) {
    throw asProviderError(error, what);
  }
}
