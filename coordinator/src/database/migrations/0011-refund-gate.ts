/**
 * Refunds that wait for an admin, how much was refunded without one, and each call of a payment provider for a refund.
 */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  // What was decided is in its row; one that was settled without a decision (in the provider's dashboard) has none.
  `create table refund_requests (
     id text primary key not null, refund_key text not null unique references refunds (key),
     bound text not null check (bound in ('per_refund', 'per_renter_a_day', 'per_day')), asked_at bigint not null,
     decision text check (decision in ('approved', 'declined')), decided_by text, decided_at bigint, reason text,
     check ((decision is null) = (decided_at is null)), check ((decision is null) = (decided_by is null)))`,
  `create index refund_requests_open on refund_requests (id) where decision is null`,
  // Sums that are kept, because a busy day has many refunds and each asks for them. An empty renter: all of them.
  `create table refund_days (
     day text not null, renter text not null, currency text not null, amount_e9s bigint not null check (amount_e9s >= 0),
     primary key (day, renter, currency))`,
  `create table refund_calls (
     id text primary key not null, refund_key text not null references refunds (key), call_key text not null,
     method text not null, amount_e9s bigint not null, currency text not null, asked_at bigint not null,
     answered_at bigint, outcome text check (outcome in ('pending', 'succeeded', 'failed', 'error')),
     external_id text, detail text, check ((answered_at is null) = (outcome is null)))`,
  `create index refund_calls_refund on refund_calls (refund_key)`,
];

/** Makes them. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
