/** Row types of the tables of migration 0009: what is used beyond the rent, what it costs, and what Stripe is told. */
import type { Generated } from 'kysely';

export interface UsageTables {
  offering_usage: OfferingUsageTable;
  usage_meters: UsageMetersTable;
  usage_events: UsageEventsTable;
  usage_charges: UsageChargesTable;
  usage_reports: UsageReportsTable;
  stripe_customers: StripeCustomersTable;
}

/** The usage pricing of an offering; no row where its price is flat. In the offering's currency. */
export interface OfferingUsageTable {
  offering_id: string;
  /** minute, hour, day or month. */
  billing_unit: string;
  /** Of a unit beyond the included ones. */
  unit_price_e9s: bigint;
  /** In each whole billing period. */
  included_units: number;
}

/** The usage pricing of a contract, as it was when it was made; no row where its price is flat. */
export interface UsageMetersTable {
  contract_id: string;
  billing_unit: string;
  currency: string;
  unit_price_e9s: bigint;
  included_units: number;
  /** The most that one billing period may cost beyond the rent: the renter accepted it. */
  cap_e9s: bigint;
  /** Up to where its periods have been charged for; null before it was active. */
  closed_until_at: number | null;
  /** The newest event that was looked at when they were. */
  billed_seq: number;
  /** When to look again; null for never. */
  due_at: number | null;
}

/** What was told of a contract's use, each once. */
export interface UsageEventsTable {
  /** Only rises. */
  seq: Generated<number>;
  contract_id: string;
  /** The reporter's own name for it. */
  id: string;
  /** heartbeat, session or counter. */
  kind: string;
  at: number;
  /** Of a session. */
  ended_at: number | null;
  /** Of a counter: billing units in nano-units. */
  units_e9s: bigint | null;
  /** The key that reported it. */
  reported_by: string;
  received_at: number;
}

/** What one billing period costs beyond the rent; later events about it make another row for the difference. */
export interface UsageChargesTable {
  id: string;
  contract_id: string;
  renter_pubkey: string;
  /** The period. */
  from_at: number;
  to_at: number;
  /** The newest event that is counted in it. */
  events_through: number;
  /** All that was used in the period, as far as those events say. */
  used_ms: number;
  counted_e9s: bigint;
  /** What this row adds: units beyond the included ones, and their price. */
  overage_e9s: bigint;
  amount_e9s: bigint;
  currency: string;
  created_at: number;
  paid_at: number | null;
}

/** A charge's way to Stripe's meter. */
export interface UsageReportsTable {
  charge_id: string;
  customer_id: string;
  /** The minute at which the meter has it: no other charge of the customer is there. */
  event_at: number;
  /** Since when the meter may have it under an id that it remembers. */
  sent_at: number;
  /** When it was certain that the meter has it. */
  reported_at: number | null;
}

export interface StripeCustomersTable {
  account_pubkey: string;
  customer_id: string;
}
