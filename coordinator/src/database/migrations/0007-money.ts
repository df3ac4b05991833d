/**
 * The whole chart of accounts, earning by proof, and payouts. The rule that says which accounts there are moves from a
 * CHECK, which SQLite can only change by making the table anew, into the triggers.
 */
import type { Transaction } from '../database.ts';
import { LEDGER_TRIGGERS, ledgerTriggers } from './0007-ledger-rules.ts';
import { runStatements } from './migration.ts';

// Without its triggers for a moment, in one transaction: nobody else sees the table between.
const WIDENED_POSTINGS: readonly string[] = [
  ...LEDGER_TRIGGERS.map(({ name }) => `drop trigger ${name}`),
  `create table ledger_postings_wide (
    set_id text not null,
    line integer not null,
    account text not null,
    amount_e9s bigint not null check (amount_e9s <> 0),
    currency text not null,
    primary key (set_id, line),
    foreign key (set_id, currency) references ledger_sets (id, currency)
  )`,
  `insert into ledger_postings_wide select set_id, line, account, amount_e9s, currency from ledger_postings`,
  `drop table ledger_postings`,
  `alter table ledger_postings_wide rename to ledger_postings`,
  `create index ledger_postings_account on ledger_postings (account, currency, amount_e9s)`,
  ...ledgerTriggers('sqlite'),
];

const EARNING: readonly string[] = [
  // A row for each contract that became active: how far its time is judged, and what came of it.
  `create table earnings (
    contract_id text not null primary key references contracts (id),
    judged_until_at bigint not null,
    proved_ms bigint not null check (proved_ms >= 0),
    unproved_ms bigint not null check (unproved_ms >= 0),
    released_e9s bigint not null check (released_e9s >= 0),
    credited_e9s bigint not null check (credited_e9s >= 0),
    setup_fee_released integer not null check (setup_fee_released in (0, 1)),
    due_at bigint
  )`,
  `create index earnings_due on earnings (due_at) where due_at is not null`,
  `create table proved_spans (
    contract_id text not null references contracts (id),
    from_at bigint not null,
    until_at bigint not null,
    first_proof text,
    last_proof text,
    primary key (contract_id, from_at),
    check (until_at >= from_at)
  )`,
  // In the order of their number, which only rises: "up to this one" names the releases that were listed and no later ones.
  `create table releases (
    seq integer primary key autoincrement,
    cause text not null unique references ledger_sets (cause),
    contract_id text not null references contracts (id),
    provider_pubkey text not null,
    currency text not null,
    amount_e9s bigint not null check (amount_e9s <> 0),
    kind text not null check (kind in ('setup_fee', 'time', 'reversal')),
    from_at bigint,
    to_at bigint,
    proved_ms bigint not null,
    first_proof text,
    last_proof text,
    at bigint not null,
    payout_id text
  )`,
  `create index releases_provider on releases (provider_pubkey, currency, at, amount_e9s)`,
  `create index releases_order on releases (provider_pubkey, seq)`,
  `create index releases_contract on releases (contract_id)`,
  `create index releases_unpaid on releases (provider_pubkey, currency, seq, amount_e9s) where payout_id is null`,
  `create index releases_payout on releases (payout_id) where payout_id is not null`,
  `create table credits (
    contract_id text not null references contracts (id),
    from_at bigint not null,
    to_at bigint not null,
    reason text not null check (reason in ('unproved', 'maintenance')),
    amount_e9s bigint not null check (amount_e9s >= 0),
    proof_before text,
    proof_after text,
    cause text not null,
    at bigint not null,
    primary key (contract_id, from_at),
    check (to_at > from_at)
  )`,
  `create table payouts (
    id text not null primary key,
    key text not null unique,
    provider_pubkey text not null,
    currency text not null,
    amount_e9s bigint not null check (amount_e9s > 0),
    release_count integer not null check (release_count > 0),
    route text not null,
    state text not null check (state in ('requested', 'sent', 'confirmed', 'failed')),
    destination text,
    reference text,
    failure text,
    requested_by text not null,
    requested_at bigint not null,
    sent_at bigint,
    settled_at bigint
  )`,
  `create index payouts_provider on payouts (provider_pubkey, requested_at)`,
  // Contracts that were concluded before this rule are paid by time: all of theirs counts as proved.
  `insert into earnings
     select id, active_at, 0, 0, 0, 0, 0, active_at from contracts where state in ('active', 'paused')`,
  `insert into proved_spans
     select id, active_at, 9007199254740991, null, null from contracts where state in ('active', 'paused')`,
  `insert into releases (cause, contract_id, provider_pubkey, currency, amount_e9s, kind, proved_ms, at)
     select s.cause, s.contract_id, substr(p.account, 18), s.currency, p.amount_e9s, 'time', 0, s.at
     from ledger_sets s join ledger_postings p on p.set_id = s.id
     where s.kind = 'released_to_provider' and p.account like 'provider_payable:%'`,
];

/** Changes the tables. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, [...WIDENED_POSTINGS, ...EARNING]);
}
