/** The port to somebody who keeps count of what was charged for use beside us: Stripe's meters. */

/** What is told. */
export interface MeterReport {
  /** The charge's. The same id again counts once, for a day at least. */
  id: string;
  /** What `createCustomer` answered. */
  customer: string;
  /** Thousandths of a billing unit, whole. */
  value: bigint;
  /** A whole minute, in milliseconds: no other report of this customer has it. */
  at: number;
}

/** All calls can be repeated, and obey `signal`. They throw PAYMENT_REFUSED and PAYMENT_PROVIDER_UNAVAILABLE. */
export interface UsageReporter {
  /** Makes a customer for an account. Idempotent by the account, for a day at least. */
  createCustomer(account: { pubkey: string; email: string | null }, signal: AbortSignal): Promise<string>;
  /** Tells it. Returns once it is known there, also where it was before. */
  report(report: MeterReport, signal: AbortSignal): Promise<void>;
  /** Whether anything of this customer is known at that minute. */
  isKnown(report: Pick<MeterReport, 'customer' | 'at'>, signal: AbortSignal): Promise<boolean>;
}
