/**
 * What ICPay says of a payment. Pure. Its webhooks only say that something has happened: the amounts in them are in
 * base units of a token, and the price is in the intent, so that a payment counts once ICPay's API has said so itself.
 */
import type { Money } from '@dc/shared/money/money';
import type { PaymentFact, PaymentStatus, ProviderEvent, ProviderFact } from '../payment-provider.ts';

/** The name under which our key is in ICPay's metadata. */
export const KEY_FIELD = 'dc_payment';
export const REFUND_KEY_FIELD = 'dc_refund';

/** A payment as the API and webhooks show it; what we do not use is left out. */
export interface IcpayPaymentObject {
  id: string;
  paymentIntentId: string;
  transactionId?: string | null;
  amount: string;
  ledgerCanisterId: string;
  status: string;
  requestedAmount?: string | null;
  paidAmount?: string | null;
  metadata?: Record<string, unknown> | null;
}
export interface IcpayIntentObject {
  id: string;
  amount: string;
  amountUsd?: number | string | null;
  ledgerCanisterId: string;
  status: string;
  metadata?: Record<string, unknown> | null;
}

/** What an event says. Throws where it is no event; one whose object cannot be read is a `problem`. */
export function readIcpayEvent(type: string, object: unknown): Pick<ProviderEvent, 'facts' | 'problem'> {
  if (!type.startsWith('payment.')) return { facts: [] };
  const payment = object as Partial<IcpayPaymentObject> | null;
  if (typeof payment?.id !== 'string' || typeof payment.paymentIntentId !== 'string')
    return { facts: [], problem: 'The event names no payment.' };
  const fact: PaymentFact = {
    about: 'payment',
    refs: refsOf(payment as IcpayPaymentObject),
    status: 'processing',
    amount: null,
    taxE9s: 0n,
    reason: null,
  };
  switch (type) {
    case 'payment.completed':
      return { facts: [fact] };
    case 'payment.failed':
    case 'payment.cancelled':
      return { facts: [{ ...fact, status: 'failed', reason: 'ICPay could not take the payment.' }] };
    case 'payment.refunded':
      return { facts: [refundFact(payment as IcpayPaymentObject)] };
    default:
      return { facts: [] };
  }
}

function refsOf(payment: IcpayPaymentObject): PaymentFact['refs'] {
  const key = payment.metadata?.[KEY_FIELD];
  return {
    key: typeof key === 'string' ? key : null,
    externalId: payment.paymentIntentId,
    paymentRef: payment.id,
    // The transaction may be known before the payment, or after it: either name finds it.
    chargeRef: payment.transactionId ?? null,
  };
}

function refundFact(payment: IcpayPaymentObject): ProviderFact {
  return {
    about: 'refund',
    id: `refund-of:${payment.id}`,
    refs: refsOf(payment),
    refundKey: null,
    status: 'succeeded',
    amount: null,
    reason: null,
  };
}

/** What the API says of an intent and its payment, in USD. `ledger`: the one token ledger that we take. */
export function readAggregate(
  { intent, payment }: { intent: IcpayIntentObject; payment: IcpayPaymentObject | null },
  ledger: string,
): ProviderFact[] {
  const key = intent.metadata?.[KEY_FIELD];
  const intentRefs = {
    ...{ key: typeof key === 'string' ? key : null, externalId: intent.id },
    ...{ paymentRef: null, chargeRef: null },
  };
  const refs = payment === null ? intentRefs : { ...refsOf(payment), key: intentRefs.key };
  const fact: PaymentFact = {
    ...{ about: 'payment', refs, status: statusOf(intent, payment), amount: null, taxE9s: 0n },
    reason: payment?.status === 'failed' ? 'ICPay could not take the payment.' : null,
  };
  if (fact.status !== 'paid' || payment === null) return [fact];
  const isWhole =
    payment.ledgerCanisterId === ledger &&
    intent.ledgerCanisterId === ledger &&
    payment.amount === intent.amount &&
    (payment.paidAmount ?? payment.amount) === intent.amount;
  const paid = { ...fact, amount: isWhole ? usdOf(intent.amountUsd) : null };
  return payment.status === 'refunded' ? [paid, refundFact(payment)] : [paid];
}

function statusOf(intent: IcpayIntentObject, payment: IcpayPaymentObject | null): PaymentStatus {
  switch (payment?.status) {
    case 'completed':
    case 'refunded':
    case 'mismatched': // Not what was asked for: the amount says so.
      return 'paid';
    case 'failed':
    case 'canceled':
      return 'failed';
    default:
      return intent.status === 'canceled' || intent.status === 'failed' ? 'failed' : 'open';
  }
}

/** An amount of USD as ICPay writes it, exactly; null for what is none. */
function usdOf(amount: number | string | null | undefined): Money | null {
  const match = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(String(amount ?? ''));
  if (match === null) return null;
  const [, whole = '', decimals = ''] = match;
  return { amountE9s: BigInt(whole) * 1_000_000_000n + BigInt(decimals.padEnd(9, '0')), currency: 'USD' };
}
