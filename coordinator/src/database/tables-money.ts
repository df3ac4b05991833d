/** Row types of the tables of migration 0007: what is earned, and payouts. */
import type { Generated } from 'kysely';

export interface MoneyTables {
  earnings: EarningsTable;
  proved_spans: ProvedSpansTable;
  releases: ReleasesTable;
  credits: CreditsTable;
  payouts: PayoutsTable;
  payout_destinations: PayoutDestinationsTable;
  payout_transfers: PayoutTransfersTable;
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
  /** What its releases sum to: more or less than its amount where a rest was left or paid with it. */
  releases_e9s: bigint;
  /** What came back of it after it had arrived. */
  reversed_e9s: bigint;
}

/** Where a provider wants its money, by each route; the newest that is usable and not withdrawn is in force. */
export interface PayoutDestinationsTable {
  id: string;
  provider_pubkey: string;
  route: string;
  account: string;
  set_at: number;
  /** Money goes there from here on: a change waits, so that the provider can see it. */
  usable_at: number;
  withdrawn_at: number | null;
}

/** What is asked for of the route of a payout that is sent by itself. */
export interface PayoutTransfersTable {
  payout_id: string;
  /** JSON: what only the route understands. */
  terms: string;
  /** Part of what makes the transfer single; a new one only when it is certain that the one before moved nothing. */
  asked_at: number;
  /** 1 from before it is asked for the first time: until then nothing can have moved. */
  is_asked: Generated<number>;
}
