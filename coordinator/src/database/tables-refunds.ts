/** Row types of refunds: those that were decided, those that wait for an admin, and what was asked of providers. */

export interface RefundTables {
  refunds: RefundsTable;
  refund_requests: RefundRequestsTable;
  refund_days: RefundDaysTable;
  refund_calls: RefundCallsTable;
}

export interface RefundsTable {
  /** Derived from what the refund is for, never from the time (I3). */
  key: string;
  contract_id: string;
  amount_e9s: bigint;
  currency: string;
  reason: string;
  created_at: number;
  confirmed_at: number | null;
  /** What of it had gone back by hand; null until that was counted. */
  by_hand_e9s: bigint | null;
}

/** A refund above a bound: it leaves only when an admin has approved it. */
export interface RefundRequestsTable {
  id: string;
  refund_key: string;
  /** The bound that it is above: per_refund, per_renter_a_day or per_day. */
  bound: string;
  asked_at: number;
  /** approved, declined, or null. */
  decision: string | null;
  /** The admin's account, or `command line`. */
  decided_by: string | null;
  decided_at: number | null;
  reason: string | null;
}

/** What was refunded on a day (UTC) without a person. */
export interface RefundDaysTable {
  /** `2026-11-20`. */
  day: string;
  /** Empty for all renters together. */
  renter: string;
  currency: string;
  amount_e9s: bigint;
}

/** One call of a payment provider for a refund: written down before it is made. */
export interface RefundCallsTable {
  id: string;
  refund_key: string;
  /** The idempotency key that the provider gets: the same in every call for the same thing. */
  call_key: string;
  method: string;
  amount_e9s: bigint;
  currency: string;
  asked_at: number;
  /** Null where no answer came: the program was stopped, and the next call asks again. */
  answered_at: number | null;
  outcome: string | null;
  external_id: string | null;
  detail: string | null;
}
