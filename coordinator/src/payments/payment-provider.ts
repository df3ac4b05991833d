/**
 * The port to a way of paying. A provider of payments tells us of money by events with ids of its own; each is
 * recorded once, in the same transaction as what it changes (invariant I3).
 */
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
}

export interface PaymentProvider {
  /** The name that renters choose and that is kept with the contract. */
  readonly method: string;
  /**
   * The notice of a payment that is settled the moment it is asked for, or null where the money comes later.
   * Called inside the transaction that makes the contract or the extension: it may not touch the network.
   */
  settleAtOnce(payment: PaymentRequest): PaymentNotice | null;
  /**
   * Pays the money back and returns once the provider has confirmed it. Idempotent by `key`. Throws an AppError that
   * is retryable where it is not known whether the money moved; the call is then repeated with the same key.
   */
  refund(request: RefundRequest, signal: AbortSignal): Promise<void>;
}
