/**
 * Usage-based billing: prices of offerings, meters of contracts, events, and charges. Releases get a kind for what was
 * used, which SQLite can only do by making the table anew. docs/decisions/usage.md explains them.
 */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const UNITS = `('minute', 'hour', 'day', 'month')`;

const WIDENED_RELEASES: readonly string[] = [
  `create table releases_wide (
    seq integer primary key autoincrement,
    cause text not null unique references ledger_sets (cause),
    contract_id text not null references contracts (id),
    provider_pubkey text not null,
    currency text not null,
    amount_e9s bigint not null check (amount_e9s <> 0),
    kind text not null check (kind in ('setup_fee', 'time', 'reversal', 'usage')),
    from_at bigint,
    to_at bigint,
    proved_ms bigint not null,
    first_proof text,
    last_proof text,
    at bigint not null,
    payout_id text
  )`,
  `insert into releases_wide select seq, cause, contract_id, provider_pubkey, currency, amount_e9s, kind, from_at, to_at,
    proved_ms, first_proof, last_proof, at, payout_id from releases`,
  `drop table releases`,
  `alter table releases_wide rename to releases`,
  `create index releases_provider on releases (provider_pubkey, currency, at, amount_e9s)`,
  `create index releases_order on releases (provider_pubkey, seq)`,
  `create index releases_contract on releases (contract_id)`,
  `create index releases_unpaid on releases (provider_pubkey, currency, seq, amount_e9s) where payout_id is null`,
  `create index releases_payout on releases (payout_id) where payout_id is not null`,
];

const USAGE: readonly string[] = [
  `create table offering_usage (
    offering_id text not null primary key references offerings (id),
    billing_unit text not null check (billing_unit in ${UNITS}),
    unit_price_e9s bigint not null check (unit_price_e9s >= 0),
    included_units bigint not null check (included_units >= 0)
  )`,
  `create table usage_meters (
    contract_id text not null primary key references contracts (id),
    billing_unit text not null check (billing_unit in ${UNITS}),
    currency text not null,
    unit_price_e9s bigint not null check (unit_price_e9s >= 0),
    included_units bigint not null check (included_units >= 0),
    cap_e9s bigint not null check (cap_e9s >= 0),
    closed_until_at bigint,
    billed_seq bigint not null,
    due_at bigint
  )`,
  `create index usage_meters_due on usage_meters (due_at) where due_at is not null`,
  // In the order of their number, which only rises: a charge says up to which event it counts.
  `create table usage_events (
    seq integer primary key autoincrement,
    contract_id text not null references contracts (id),
    id text not null,
    kind text not null check (kind in ('heartbeat', 'session', 'counter')),
    at bigint not null,
    ended_at bigint,
    units_e9s bigint check (units_e9s > 0),
    reported_by text not null,
    received_at bigint not null,
    unique (contract_id, id),
    check ((kind = 'session') = (ended_at is not null) and (kind = 'counter') = (units_e9s is not null)),
    check (ended_at is null or ended_at > at)
  )`,
  `create index usage_events_time on usage_events (contract_id, at)`,
  `create table usage_charges (
    id text not null primary key,
    contract_id text not null references contracts (id),
    renter_pubkey text not null,
    from_at bigint not null,
    to_at bigint not null,
    events_through bigint not null,
    used_ms bigint not null check (used_ms >= 0),
    counted_e9s bigint not null check (counted_e9s >= 0),
    overage_e9s bigint not null check (overage_e9s >= 0),
    amount_e9s bigint not null check (amount_e9s > 0),
    currency text not null,
    created_at bigint not null,
    paid_at bigint,
    unique (contract_id, from_at, events_through),
    check (to_at > from_at)
  )`,
  `create index usage_charges_unpaid on usage_charges (created_at) where paid_at is null`,
  `create index usage_charges_renter on usage_charges (renter_pubkey) where paid_at is null`,
  `create table usage_reports (
    charge_id text not null primary key references usage_charges (id),
    first_sent_at bigint,
    reported_at bigint,
    check (reported_at is null or first_sent_at is not null)
  )`,
  `create table stripe_customers (
    account_pubkey text not null primary key,
    customer_id text not null unique
  )`,
];

/** Changes the tables. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, [...WIDENED_RELEASES, ...USAGE]);
}
