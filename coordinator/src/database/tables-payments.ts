/** Row types of the tables of migration 0008: payments that are made elsewhere, and what is told of them. */

export interface PaymentTables {
  payments: PaymentsTable;
  provider_events: ProviderEventsTable;
  payment_refunds: PaymentRefundsTable;
  disputes: DisputesTable;
}

/** Something that is to be paid at a provider; see payments/payment-rules.ts for its states. */
export interface PaymentsTable {
  /** What it is for: `contract:…`, `extension:…` or `top-up:…`. */
  key: string;
  method: string;
  /** Who pays. */
  account_pubkey: string;
  /** Null for a top-up. */
  contract_id: string | null;
  extension_id: string | null;
  amount_e9s: bigint;
  currency: string;
  /** Paid on top of the amount, once it is known. */
  tax_e9s: bigint;
  state: string;
  is_for_delivery: number;
  description: string;
  email: string | null;
  /** `source` or `wallet`: where the payer wants what comes back to go. */
  refund_to: string;
  external_id: string | null;
  payment_ref: string | null;
  charge_ref: string | null;
  checkout_url: string | null;
  /** Why it failed. */
  reason: string | null;
  created_at: number;
  expires_at: number;
  /** When to ask the provider for the truth; null where nothing can change any more. */
  look_at: number | null;
  looks: number;
  /** When it was authorised or paid. */
  arrived_at: number | null;
  settled_at: number | null;
}

/** Every event that a provider delivered, once. */
export interface ProviderEventsTable {
  method: string;
  event_id: string;
  type: string;
  received_at: number;
  outcome: string;
  object_ref: string | null;
  payment_key: string | null;
  detail: string | null;
  body: string | null;
  /** When what it waited for was found, or an admin has seen to it. */
  settled_at: number | null;
}

/** What was given back of a payment, or is about to be. */
export interface PaymentRefundsTable {
  id: string;
  method: string;
  payment_key: string;
  refund_key: string | null;
  external_id: string | null;
  /** All that goes back, tax included. */
  amount_e9s: bigint;
  /** Of it, what had been paid as tax. */
  tax_e9s: bigint;
  currency: string;
  state: string;
  reason: string | null;
  created_at: number;
  settled_at: number | null;
}

export interface DisputesTable {
  method: string;
  id: string;
  /** Null as long as it is not known which payment it is about. */
  payment_key: string | null;
  contract_id: string | null;
  payment_ref: string | null;
  charge_ref: string | null;
  status: string;
  funds: string;
  amount_e9s: bigint;
  currency: string;
  reason: string;
  evidence_due_at: number | null;
  /** Where the money lay that is held: escrow, refund_due or wallet; null where nothing is. */
  held_from: string | null;
  /** 1 where it was this dispute that paused the contract. */
  paused: number;
  created_at: number;
  updated_at: number;
  closed_at: number | null;
}
