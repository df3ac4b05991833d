/**
 * What providers say of payments becomes books and states: by webhook, by asking, in any order and any number of
 * times. An event is kept under its id in the transaction of its effect (I3); one that is about something unknown, or
 * that does not fit what was asked for, is kept whole for an admin, and applied when it turns out what it is about.
 */
import { formatMoney } from '@dc/shared/money/money';
import { touchContract } from '../contracts/contract-service.ts';
import { findContract } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { documentTopUp } from '../invoices/payment-documents.ts';
import { applyDispute } from './disputes.ts';
import { walletToppedUp } from './ledger-wallet.ts';
import { LOOK_TOPIC } from './payment-asks.ts';
import { applyLoss, applyRefundFact } from './outside-refunds.ts';
import type { PaymentFact, ProviderEvent, ProviderFact, PaymentProvider } from './payment-provider.ts';
import { nextLookAt, nextPayment } from './payment-rules.ts';
import { applyReversal } from './payout-reversal.ts';
import { applyPaymentNotice } from './payment-service.ts';
import {
  findPaymentByRefs,
  insertEvent,
  listOrphans,
  settleEvent,
  updatePayment,
  type PaymentChange,
  type PaymentRow,
} from './payment-store.ts';

/** What became of a fact. `unknown`: nobody knows what it is about; `mismatch`: it is not what was asked for. */
export interface FactOutcome {
  outcome: 'applied' | 'ignored' | 'unknown' | 'mismatch';
  paymentKey: string | null;
  /** For the admin. */
  detail: string | null;
}

const ORDER = ['ignored', 'applied', 'unknown', 'mismatch'] as const;

/** Takes an event of a provider, once; `false` where it was known. `body` is the event as it came in. */
export async function takeEvent(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  { event, body }: { event: ProviderEvent; body: string },
): Promise<boolean> {
  const { method } = provider;
  const now = context.clock.now();
  const isNew = await insertEvent(trx, {
    method,
    event_id: event.id,
    type: event.type.slice(0, 100),
    received_at: now,
    // What nearly every event turns out to be: only another outcome is written down again.
    outcome: event.facts.length === 0 ? 'ignored' : 'applied',
    object_ref: objectRefOf(event),
    payment_key: event.facts[0]?.refs.key ?? null,
    detail: null,
    body: null,
    settled_at: null,
  });
  if (!isNew) return false;
  const worst = await applyEvent(context, trx, provider, event);
  if (worst.outcome === 'ignored' || worst.outcome === 'applied') return true;
  const { outcome, paymentKey: payment_key, detail } = worst;
  await settleEvent(trx, { method, event_id: event.id }, { outcome, payment_key, detail, body });
  trx.afterCommit(() =>
    context.log.warn({ method, event: event.id, type: event.type, outcome, detail }, 'payment.event_kept'),
  );
  return true;
}

/** What came back of a payout is no payment's business; everything else is. */
async function applyEvent(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  { facts, reversal }: ProviderEvent,
): Promise<FactOutcome> {
  if (reversal === undefined) return applyAll(context, trx, provider, facts);
  if (await applyReversal(context, trx, reversal))
    return { outcome: 'applied', paymentKey: null, detail: null };
  const detail = `The transfer ${reversal.reference} came back, and no payout was sent by it.`;
  return { outcome: 'unknown', paymentKey: null, detail };
}

/** The name under which an event about something unknown is found again. */
function objectRefOf({ facts: [fact] }: ProviderEvent): string | null {
  if (fact === undefined) return null;
  return fact.refs.paymentRef ?? fact.refs.chargeRef ?? fact.refs.externalId;
}

async function applyAll(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  facts: readonly ProviderFact[],
): Promise<FactOutcome> {
  let worst: FactOutcome = { outcome: 'ignored', paymentKey: null, detail: null };
  for (const fact of facts) {
    const outcome = await applyFact(context, trx, provider, fact);
    if (ORDER.indexOf(outcome.outcome) >= ORDER.indexOf(worst.outcome)) worst = outcome;
  }
  return worst;
}

/**
 * Takes what a provider answered when it was asked. What does not fit is kept as an event of its own, so that an admin
 * sees it; asked-for facts are about a payment that we know.
 */
export async function takeTruth(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  { key, facts }: { key: string; facts: readonly ProviderFact[] },
): Promise<void> {
  const outcome = await applyAll(context, trx, provider, facts);
  if (outcome.outcome !== 'mismatch') return;
  await insertEvent(trx, {
    method: provider.method,
    event_id: `asked:${key}`,
    type: 'asked',
    received_at: context.clock.now(),
    ...{ outcome: 'mismatch', object_ref: null, payment_key: key, detail: outcome.detail },
    ...{ body: null, settled_at: null },
  });
}

async function applyFact(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  fact: ProviderFact,
): Promise<FactOutcome> {
  const found = await findPaymentByRefs(trx, provider.method, fact.refs);
  if (found === null) {
    if (fact.about === 'dispute') await applyDispute(context, trx, provider.method, { fact, payment: null });
    return { outcome: 'unknown', paymentKey: null, detail: describeUnknown(fact) };
  }
  const news = learnNames(found, fact);
  const outcome = await applyKnown(context, trx, provider, { payment: found, fact, news });
  // After what was learned has been applied: a dispute that came first finds the money that it is about.
  const names = Object.values(news) as string[];
  if (names.length > 0) await applyOrphans(context, trx, provider, { key: found.key, names });
  return outcome;
}

/** A fact about a payment that is known, and the names that it brings. */
interface KnownFact<Fact = ProviderFact> {
  payment: PaymentRow;
  fact: Fact;
  news: PaymentChange;
}

async function applyKnown(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  { payment, fact, news }: KnownFact,
): Promise<FactOutcome> {
  if (fact.about === 'payment') return applyPaymentFact(context, trx, { payment, fact, news });
  if (Object.keys(news).length > 0) await updatePayment(trx, payment, news);
  const named = { ...payment, ...news };
  if (fact.about === 'dispute') await applyDispute(context, trx, provider.method, { fact, payment: named });
  else await applyRefundFact(context, trx, named, fact);
  return { outcome: 'applied', paymentKey: payment.key, detail: null };
}

function describeUnknown(fact: ProviderFact): string {
  const money = fact.amount === null ? '' : ` of ${formatMoney(fact.amount)}`;
  return `A ${fact.about}${money} (${fact.status}) that belongs to no payment of ours.`;
}

/** The names of a payment that a fact brings, and that were not known. */
function learnNames(payment: PaymentRow, { refs }: ProviderFact): PaymentChange {
  return {
    ...(payment.external_id === null && refs.externalId !== null ? { external_id: refs.externalId } : {}),
    ...(payment.payment_ref === null && refs.paymentRef !== null ? { payment_ref: refs.paymentRef } : {}),
    ...(payment.charge_ref === null && refs.chargeRef !== null ? { charge_ref: refs.chargeRef } : {}),
  };
}

/** Applies what had come under these names before it was known whose they are. */
async function applyOrphans(
  context: Context,
  trx: Transaction,
  provider: PaymentProvider,
  { key, names }: { key: string; names: readonly string[] },
): Promise<void> {
  if (provider.online === undefined) return;
  for (const orphan of await listOrphans(trx, provider.method, names)) {
    const { facts } = provider.online.readFacts(orphan.body ?? '{}');
    // Marked first: what it teaches must not find it again.
    await settleEvent(trx, orphan, { settled_at: context.clock.now(), payment_key: key });
    const { outcome, detail } = await applyAll(context, trx, provider, facts);
    const isOpen = outcome === 'mismatch' || outcome === 'unknown';
    await settleEvent(trx, orphan, isOpen ? { outcome, detail, settled_at: null } : { outcome, body: null });
  }
}

async function applyPaymentFact(
  context: Context,
  trx: Transaction,
  { payment, fact, news }: KnownFact<PaymentFact>,
): Promise<FactOutcome> {
  const { state, step } = nextPayment(payment.state, fact.status);
  if (step === 'nothing') {
    if (Object.keys(news).length > 0) await updatePayment(trx, payment, news);
    return { outcome: 'ignored', paymentKey: payment.key, detail: null };
  }
  const problem = step === 'arrived' ? findMismatch(payment, fact) : null;
  if (problem !== null) {
    // Nobody looks again by itself: it would say the same. The contract is not paid, and times out.
    await updatePayment(trx, payment, { ...news, look_at: null, reason: problem });
    return { outcome: 'mismatch', paymentKey: payment.key, detail: problem };
  }
  const now = context.clock.now();
  const change: PaymentChange = {
    ...news,
    state,
    look_at: nextLookAt(state, 0, now),
    looks: 0,
    ...(step === 'arrived' ? { arrived_at: now, tax_e9s: fact.taxE9s } : {}),
    ...(state === 'processing' || state === 'authorised' ? {} : { settled_at: now }),
    ...(fact.reason === null ? {} : { reason: fact.reason }),
  };
  await updatePayment(trx, payment, change);
  await act(context, trx, { ...payment, ...change }, step);
  return { outcome: 'applied', paymentKey: payment.key, detail: null };
}

/** Why money that came is not what was asked for, or null. */
function findMismatch(payment: PaymentRow, { amount, taxE9s }: PaymentFact): string | null {
  const asked = { amountE9s: payment.amount_e9s, currency: payment.currency };
  if (amount === null) return `The provider does not say what was paid; asked for was ${formatMoney(asked)}.`;
  if (amount.currency === asked.currency && amount.amountE9s === asked.amountE9s && taxE9s >= 0n) return null;
  return `${formatMoney(amount)} was paid, and ${formatMoney(asked)} was asked for.`;
}

async function act(
  context: Context,
  trx: Transaction,
  payment: PaymentRow,
  step: 'arrived' | 'captured' | 'failed' | 'lost' | 'moved',
): Promise<void> {
  if (step === 'captured') return;
  if (step === 'lost') return applyLoss(context, trx, payment);
  if (payment.state === 'processing')
    await context.outbox.enqueue(trx, LOOK_TOPIC, { key: payment.key, payload: {} });
  if (step === 'arrived' && payment.contract_id === null) return bookTopUp(context, trx, payment);
  if (payment.contract_id === null) return;
  if (step === 'moved') {
    const contract = await findContract(trx, payment.contract_id);
    if (contract !== null) await touchContract(context, trx, contract, {});
    return;
  }
  await applyPaymentNotice(context, trx, payment.method, {
    // A payment that failed can be paid after all: each is an event of its own.
    eventId: step === 'arrived' ? payment.key : `${payment.key}:failed`,
    contractId: payment.contract_id,
    ...(payment.extension_id === null ? {} : { extensionId: payment.extension_id }),
    kind: step === 'arrived' ? 'paid' : 'failed',
    amount: { amountE9s: payment.amount_e9s, currency: payment.currency },
    taxE9s: payment.tax_e9s,
  });
}

async function bookTopUp(context: Context, trx: Transaction, payment: PaymentRow): Promise<void> {
  const { currency } = payment;
  await context.ledger.append(
    trx,
    walletToppedUp({
      cause: `payment:${payment.method}:${payment.key}`,
      method: payment.method,
      renterPubkey: payment.account_pubkey,
      amount: { amountE9s: payment.amount_e9s, currency },
      tax: { amountE9s: payment.tax_e9s, currency },
    }),
  );
  await documentTopUp(context, trx, {
    ...{ account: payment.account_pubkey, method: payment.method, currency },
    cause: `payment:${payment.method}:${payment.key}`,
    ...{ amountE9s: payment.amount_e9s, taxE9s: payment.tax_e9s },
  });
}
