/** Row types of the tables of migration 0007: what is earned, and payouts. */
import type { Generated } from 'kysely';

export interface MoneyTables {
  earnings: EarningsTable;
  proved_spans: ProvedSpansTable;
  releases: ReleasesTable;
  credits: CreditsTable;
  payouts: PayoutsTable;
}

/** How far a contract's time is judged, and what came of it; one for each contract that became active. */
export interface EarningsTable {
  contract_id: string;
  judged_until_at: number;
  proved_ms: number;
  unproved_ms: number;
  /** Released for time; the set-up fee is not in it. */
  released_e9s: bigint;
  credited_e9s: bigint;
  setup_fee_released: number;
  /** When it is judged next; null when all of it is decided. */
  due_at: number | null;
}

/** Time that records prove; see payments/judge-time.ts. */
export interface ProvedSpansTable {
  contract_id: string;
  from_at: number;
  until_at: number;
  first_proof: string | null;
  last_proof: string | null;
}

/** What a provider got out of an escrow, and which payout paid it. */
export interface ReleasesTable {
  /** Only rises. */
  seq: Generated<number>;
  /** That of its set of postings. */
  cause: string;
  contract_id: string;
  provider_pubkey: string;
  currency: string;
  /** Without the platform's fee. Negative for a reversal. */
  amount_e9s: bigint;
  /** setup_fee, time, usage, or reversal (a lost dispute). */
  kind: string;
  /** The interval that was judged; null where it is not for time. */
  from_at: number | null;
  to_at: number | null;
  proved_ms: number;
  /** Hashes of the first and last record that prove it. */
  first_proof: string | null;
  last_proof: string | null;
  at: number;
  payout_id: string | null;
}

/** What a renter is credited for one gap in the proof. */
export interface CreditsTable {
  contract_id: string;
  from_at: number;
  to_at: number;
  /** unproved or maintenance. */
  reason: string;
  amount_e9s: bigint;
  proof_before: string | null;
  proof_after: string | null;
  cause: string;
  at: number;
}

export interface PayoutsTable {
  id: string;
  /** Derived from what it pays for. */
  key: string;
  provider_pubkey: string;
  currency: string;
  amount_e9s: bigint;
  release_count: number;
  route: string;
  /** requested, sent, confirmed or failed. */
  state: string;
  destination: string | null;
  reference: string | null;
  failure: string | null;
  requested_by: string;
  requested_at: number;
  sent_at: number | null;
  settled_at: number | null;
}
