/**
 * Which events of Stripe we handle, and what each says. Pure. `dc-coordinator admin stripe setup` subscribes to exactly
 * this list, so that none is handled that never comes.
 */
import type Stripe from 'stripe';
import { isAppError } from '@dc/shared/errors';
import type { Money } from '@dc/shared/money/money';
import type {
  DisputeFact,
  PaymentFact,
  PaymentStatus,
  ProviderEvent,
  ProviderFact,
  RefundStatus,
} from '../payment-provider.ts';
import { fromMinorUnits } from './minor-units.ts';

/** The name under which our key is in Stripe's metadata. */
export const KEY_FIELD = 'dc_payment';
export const REFUND_KEY_FIELD = 'dc_refund';
/** Set where tax comes on top, so that only the session knows the price. */
export const TAX_FIELD = 'dc_tax';

type Read = (object: never) => ProviderFact[];

const READERS = {
  'checkout.session.completed': readSession,
  'checkout.session.async_payment_succeeded': readSession,
  'checkout.session.async_payment_failed': (session: Stripe.Checkout.Session) => [
    { ...sessionFact(session), status: 'failed', reason: 'The bank refused the payment.' },
  ],
  'checkout.session.expired': readSession,
  'payment_intent.amount_capturable_updated': readIntent,
  'payment_intent.succeeded': readIntent,
  'payment_intent.canceled': readIntent,
  'charge.refunded': readRefundedCharge,
  'refund.created': readRefund,
  'refund.updated': readRefund,
  'refund.failed': readRefund,
  'charge.refund.updated': readRefund,
  'charge.dispute.created': (dispute: Stripe.Dispute) => [readDispute(dispute, null)],
  'charge.dispute.updated': (dispute: Stripe.Dispute) => [readDispute(dispute, null)],
  'charge.dispute.closed': (dispute: Stripe.Dispute) => [readDispute(dispute, null)],
  'charge.dispute.funds_withdrawn': (dispute: Stripe.Dispute) => [readDispute(dispute, 'withdrawn')],
  'charge.dispute.funds_reinstated': (dispute: Stripe.Dispute) => [readDispute(dispute, 'reinstated')],
  'radar.early_fraud_warning.created': readWarning,
  'radar.early_fraud_warning.updated': readWarning,
} as const satisfies Record<string, Read>;

/** The events that we handle. */
export const STRIPE_EVENTS = [
  ...(Object.keys(READERS) as (keyof typeof READERS)[]),
  'transfer.reversed',
] as const;

/** What an event's object says; nothing for events that we do not handle. */
export function readStripeEvent(
  type: string,
  object: unknown,
): Pick<ProviderEvent, 'facts' | 'problem' | 'reversal'> {
  const read = Object.hasOwn(READERS, type) ? (READERS as Record<string, Read>)[type] : undefined;
  if (read === undefined && type !== 'transfer.reversed') return { facts: [] };
  try {
    if (read === undefined) return { facts: [], reversal: readReversal(object as Stripe.Transfer) };
    return { facts: read(object as never) };
  } catch (error) {
    // The signature holds: to refuse it would only make Stripe send it again. A person has to look at it.
    const why = isAppError(error) ? error.message : 'Parts of it are missing.';
    return { facts: [], problem: `The object of the event cannot be read: ${why}` };
  }
}

/** What has come back of a payout's transfer, from the beginning. */
const readReversal = (transfer: Stripe.Transfer): { reference: string; reversed: Money } => ({
  reference: transfer.id,
  reversed: fromMinorUnits(transfer.amount_reversed, transfer.currency),
});

/** What a session says of its payment. */
export function readSession(session: Stripe.Checkout.Session): ProviderFact[] {
  return [sessionFact(session)];
}

function sessionFact(session: Stripe.Checkout.Session): PaymentFact {
  const intent = expanded(session.payment_intent);
  const taxMinor = session.total_details?.amount_tax ?? 0;
  const currency = session.currency ?? '';
  const amount = session.amount_total === null ? null : readAmount(session.amount_total - taxMinor, currency);
  return {
    about: 'payment',
    refs: {
      key: session.metadata?.[KEY_FIELD] ?? null,
      externalId: session.id,
      paymentRef: idOf(session.payment_intent),
      chargeRef: intent === null ? null : idOf(intent.latest_charge),
    },
    status: sessionStatus(session, intent),
    amount,
    taxE9s: taxMinor === 0 ? 0n : (readAmount(taxMinor, currency)?.amountE9s ?? 0n),
    reason: session.status === 'expired' ? 'The checkout was not finished in time.' : null,
  };
}

/** The payment's own word goes before the session's: a session stays unpaid while its payment is only authorised. */
function sessionStatus(session: Stripe.Checkout.Session, intent: Stripe.PaymentIntent | null): PaymentStatus {
  if (session.status === 'expired') return 'expired';
  if (session.payment_status === 'paid') return 'paid';
  if (intent?.status === 'succeeded') return 'paid';
  if (intent?.status === 'requires_capture') return 'authorised';
  if (intent?.status === 'canceled') return 'voided';
  if (session.status !== 'complete') return 'open';
  return intent?.status === 'requires_payment_method' ? 'failed' : 'processing';
}

/** What a payment intent says. Those that are none of ours have no key, and are found by nobody. */
export function readIntent(intent: Stripe.PaymentIntent): ProviderFact[] {
  const refs = {
    key: intent.metadata[KEY_FIELD] ?? null,
    externalId: null,
    paymentRef: intent.id,
    chargeRef: idOf(intent.latest_charge),
  };
  const fact = { about: 'payment' as const, refs, reason: null };
  const amount = readAmount(
    intent.status === 'requires_capture' ? intent.amount_capturable : intent.amount,
    intent.currency,
  );
  const isGross = intent.metadata[TAX_FIELD] !== undefined;
  if (isGross && intent.status !== 'canceled')
    return [{ ...fact, status: 'processing', amount: null, taxE9s: 0n }];
  switch (intent.status) {
    case 'requires_capture':
      return [{ ...fact, status: 'authorised', amount, taxE9s: 0n }];
    case 'succeeded':
      return [{ ...fact, status: 'paid', amount, taxE9s: 0n }];
    case 'canceled':
      return [{ ...fact, status: 'voided', amount: null, taxE9s: 0n }];
    default:
      return [];
  }
}

/** A charge that was refunded lists its refunds, in the versions of the API that still do. */
function readRefundedCharge(charge: Stripe.Charge): ProviderFact[] {
  return (charge.refunds?.data ?? []).flatMap(readRefund);
}

/** What a refund says. */
export function readRefund(refund: Stripe.Refund): ProviderFact[] {
  return [
    {
      about: 'refund',
      id: refund.id,
      refs: {
        key: null,
        externalId: null,
        paymentRef: idOf(refund.payment_intent),
        chargeRef: idOf(refund.charge),
      },
      refundKey: refund.metadata?.[REFUND_KEY_FIELD] ?? null,
      status: refundStatus(refund.status),
      amount: fromMinorUnits(refund.amount, refund.currency),
      reason: refund.failure_reason ?? null,
    },
  ];
}

/** `requires_action`: Stripe waits for the payer's bank details. */
export function refundStatus(status: string | null): RefundStatus {
  if (status === 'succeeded') return 'succeeded';
  return status === 'failed' || status === 'canceled' ? 'failed' : 'pending';
}

function readDispute(dispute: Stripe.Dispute, funds: DisputeFact['funds']): DisputeFact {
  return {
    about: 'dispute',
    id: dispute.id,
    refs: {
      key: null,
      externalId: null,
      paymentRef: idOf(dispute.payment_intent),
      chargeRef: idOf(dispute.charge),
    },
    status: disputeStatus(dispute.status),
    funds,
    amount: fromMinorUnits(dispute.amount, dispute.currency),
    reason: dispute.reason,
    evidenceDueAt: dispute.evidence_details.due_by === null ? null : dispute.evidence_details.due_by * 1000,
  };
}

function disputeStatus(status: string): DisputeFact['status'] {
  if (status === 'lost') return 'lost';
  if (status === 'won' || status === 'prevented' || status === 'warning_closed') return 'won';
  return status.startsWith('warning_') ? 'warning' : 'open';
}

/** A bank says that a payment will be disputed as fraud. It names no amount: nothing is held, the rental is paused. */
function readWarning(warning: Stripe.Radar.EarlyFraudWarning): ProviderFact[] {
  return [
    {
      about: 'dispute',
      id: warning.id,
      refs: {
        key: null,
        externalId: null,
        paymentRef: idOf(warning.payment_intent ?? null),
        chargeRef: idOf(warning.charge),
      },
      status: warning.actionable ? 'warning' : 'won',
      funds: null,
      amount: NOTHING,
      reason: warning.fraud_type,
      evidenceDueAt: null,
    },
  ];
}

/** What was paid, or null where it is no amount that can be. */
function readAmount(amount: number, currency: string): Money | null {
  try {
    return fromMinorUnits(amount, currency);
  } catch (error) {
    if (isAppError(error)) return null;
    throw error;
  }
}

const NOTHING: Money = { amountE9s: 0n, currency: 'USD' };

function idOf(reference: string | { id: string } | null): string | null {
  return typeof reference === 'string' || reference === null ? reference : reference.id;
}

function expanded(intent: Stripe.Checkout.Session['payment_intent']): Stripe.PaymentIntent | null {
  return typeof intent === 'string' ? null : intent;
}
