/**
 * The port to a way of paying. A provider of payments tells us of money by events with ids of its own; each is
 * recorded once, in the same transaction as what it changes (invariant I3).
 *
 * A method either settles inside our own transaction (`settleAtOnce`: test, wallet), or the renter pays elsewhere
 * (`online`: Stripe, ICPay). `payment-conformance.test.ts` holds every provider to the same rules.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Money } from '@dc/shared/money/money';

/** What happened at the payment provider. */
export interface PaymentNotice {
  /** Unique at this provider for ever; replays of it change nothing. */
  eventId: string;
  contractId: string;
  /** Set where the payment is for more time, and not for the contract itself. */
  extensionId?: string;
  kind: 'paid' | 'failed';
  amount: Money;
}

/** What is to be paid. */
export interface PaymentRequest {
  contractId: string;
  /** Set where it is for more time, and not for the contract itself. */
  extensionId?: string;
  amount: Money;
}

/** A refund to make. `key` is derived from what the refund is for: the same key never pays twice. */
export interface RefundRequest {
  key: string;
  contractId: string;
  amount: Money;
  /** Which payment to give back from; set for providers with `online`. */
  payment?: PaymentRefs;
}

/** What the provider says of a refund. `pending`: an event will say what became of it. */
export interface RefundAnswer {
  id: string;
  status: RefundStatus;
}

export type RefundStatus = 'pending' | 'succeeded' | 'failed';

export interface PaymentProvider {
  /** The name that renters choose and that is kept with the contract. */
  readonly method: string;
  /** `wallet`: the money is with us already, in the payer's wallet. The outside processor unless said otherwise. */
  readonly source?: 'wallet';
  /** Set where the renter pays elsewhere, and news of it comes later. */
  readonly online?: OnlinePayments;
  /**
   * The notice of a payment that is settled the moment it is asked for, or null where the money comes later.
   * Called inside the transaction that makes the contract or the extension: it may not touch the network.
   */
  settleAtOnce(payment: PaymentRequest): PaymentNotice | null;
  /**
   * Pays the money back and returns once the provider has confirmed it, or says that it is pending. Idempotent by
   * `key`. Throws an AppError that is retryable where it is not known whether the money moved; the call is then
   * repeated with the same key.
   */
  refund(request: RefundRequest, signal: AbortSignal): Promise<RefundAnswer> | Promise<void>;
}

/** What a provider can do. */
export interface PaymentCapabilities {
  /** Whether a wallet can be topped up with it. */
  topsUp: boolean;
  /**
   * The smallest step of an amount in nano-units: every amount is a multiple of it. Null where the currency cannot be
   * paid with this provider.
   */
  stepE9s(currency: string): bigint | null;
  /**
   * Whether a refund can be asked for again with the same key. Where it cannot, one whose answer never came is not
   * repeated: an event, the sweep or a person says what became of it.
   */
  repeatsRefunds: boolean;
  /** Set where payers pay in a token: its symbol. What it costs is fixed when the payment is asked for. */
  token?: string;
}

/** A payment to be opened at a provider. Everything in it is stored: asking again asks for exactly the same. */
export interface PaymentAsk {
  /** What the payment is for (`contract:…`, `extension:…`, `top-up:…`); the idempotency key is derived from it. */
  key: string;
  amount: Money;
  /** What the payer reads. */
  description: string;
  /** True where delivery comes later, so that the money is only authorised until then, if the method allows. */
  isForDelivery: boolean;
  /** Until when it can be paid. */
  expiresAt: number;
  email: string | null;
  /** What is to be paid in tokens, in nano-units; null where it is not paid in a token. */
  tokenAmountE9s: bigint | null;
}

/** The names that a payment has at its provider; null until they are known. */
export interface PaymentRefs {
  /** What the coordinator calls it. */
  key: string;
  /** What `create` answered: a checkout session. Unique at the provider. */
  externalId: string | null;
  /** The payment itself, which disputes and refunds name. */
  paymentRef: string | null;
  /** A second name of the payment (a charge, a transaction). */
  chargeRef: string | null;
}

/** A payment that was opened. */
export interface OpenedPayment {
  externalId: string;
  paymentRef: string | null;
  checkoutUrl: string | null;
}

/** How a payment stands. `authorised`: it can be taken or given up; `voided`: it was given up, or was lost. */
export type PaymentStatus = 'open' | 'processing' | 'authorised' | 'paid' | 'failed' | 'expired' | 'voided';

/** What a provider says of a payment. Facts, not commands: the same again, or in another order, changes nothing. */
export interface PaymentFact {
  about: 'payment';
  /** Names by which it is found. `key` is null where the provider did not say it. */
  refs: Omit<PaymentRefs, 'key'> & { key: string | null };
  status: PaymentStatus;
  /** What was asked for, as the provider understood it, without tax; null where this fact does not say. */
  amount: Money | null;
  /** On top of `amount`. In nano-units of the same currency. */
  taxE9s: bigint;
  /** Why it failed, for the payer. */
  reason: string | null;
}

export interface RefundFact {
  about: 'refund';
  id: string;
  refs: PaymentFact['refs'];
  /** The key of `RefundRequest`; null for one that was made by hand at the provider. */
  refundKey: string | null;
  status: RefundStatus;
  /** Null where the provider does not say: then it is all that is left of the payment. */
  amount: Money | null;
  reason: string | null;
}

export interface DisputeFact {
  about: 'dispute';
  id: string;
  refs: PaymentFact['refs'];
  /** `warning`: no money is held yet. */
  status: 'warning' | 'open' | 'won' | 'lost';
  /** What became of the money, where this fact says so. */
  funds: 'withdrawn' | 'reinstated' | null;
  amount: Money;
  reason: string;
  /** Until when evidence can be handed in, in milliseconds; null where none is wanted. */
  evidenceDueAt: number | null;
}

export type ProviderFact = PaymentFact | RefundFact | DisputeFact;

/** A delivery to our webhook, as it came in. */
export interface WebhookDelivery {
  headers: IncomingHttpHeaders;
  body: Uint8Array;
  now: number;
}

/** An event of a provider, whose signature holds. */
export interface ProviderEvent {
  id: string;
  type: string;
  /** Empty where the event is none of ours to act on. */
  facts: readonly ProviderFact[];
  /** What has come back of a payout, from the beginning; set where the event is about that. */
  reversal?: { reference: string; reversed: Money };
  /** Why an event that is ours to act on cannot be understood (an amount out of all range): for a person to see. */
  problem?: string;
}

/** A provider at which the renter pays elsewhere. All outside calls obey `signal` and can be repeated. */
export interface OnlinePayments {
  readonly capabilities: PaymentCapabilities;
  /** Opens the payment. Idempotent by `ask.key`. Throws PAYMENT_REFUSED where the provider will never take it. */
  create(ask: PaymentAsk, signal: AbortSignal): Promise<OpenedPayment>;
  /**
   * Checks the signature of a delivery and reads it. Throws WEBHOOK_SIGNATURE_INVALID and REQUEST_INVALID. Pure but
   * for the secret.
   */
  readEvent(delivery: WebhookDelivery): ProviderEvent;
  /** Reads the facts of an event's body that was verified before. */
  readFacts(body: string): ProviderEvent;
  /** Asks how the payment stands, with its refunds. */
  fetchTruth(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]>;
  /** Takes an authorised payment. Answers how it stands then, also where it was taken or given up before. */
  capture(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]>;
  /** Makes sure that it cannot be paid any more, unless it was. Answers how it stands then. */
  close(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]>;
}
