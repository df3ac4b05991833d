/** Accounts, providers, agents, offerings, contracts, work, evidence and signals: the tables of the first slice. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `create table accounts (
     pubkey text primary key not null, username text unique, email text, is_admin integer not null default 0 check (is_admin in (0, 1)),
     created_at bigint not null)`,
  `create table account_keys (
     public_key text primary key not null, account_pubkey text not null references accounts (pubkey), label text not null,
     added_at bigint not null, revoked_at bigint)`,
  `create index account_keys_account on account_keys (account_pubkey)`,
  `create table challenges (challenge text primary key not null, public_key text not null, expires_at bigint not null)`,
  `create index challenges_expiry on challenges (expires_at)`,
  `create table sessions (
     token_hash text primary key not null, account_pubkey text not null references accounts (pubkey),
     created_at bigint not null, expires_at bigint not null)`,
  `create index sessions_expiry on sessions (expires_at)`,
  `create table nonces (public_key text not null, nonce text not null, expires_at bigint not null, primary key (public_key, nonce))`,
  `create index nonces_expiry on nonces (expires_at)`,
  `create table idempotency (
     actor text not null, key text not null, request_hash text not null, status integer not null, body text not null,
     created_at bigint not null, primary key (actor, key))`,
  `create index idempotency_age on idempotency (created_at)`,
  `create table providers (
     pubkey text primary key not null references accounts (pubkey), name text not null,
     auto_accept integer not null check (auto_accept in (0, 1)), created_at bigint not null)`,
  `create table pools (
     id text primary key not null, provider_pubkey text not null references providers (pubkey), name text not null,
     country text not null, created_at bigint not null)`,
  `create table grants (
     setup_key text primary key not null, provider_pubkey text not null references providers (pubkey),
     pool_id text not null references pools (id), grant_jws text not null, expires_at bigint not null,
     used_by text, created_at bigint not null)`,
  `create table agents (
     public_key text primary key not null, provider_pubkey text not null references providers (pubkey),
     pool_id text not null references pools (id), label text not null, permissions text not null,
     grant_jws text not null, delegation_jws text not null, expires_at bigint, revoked_at bigint,
     created_at bigint not null, last_heartbeat_at bigint, version text, heartbeat text)`,
  `create index agents_provider on agents (provider_pubkey)`,
  `create index agents_pool on agents (pool_id, last_heartbeat_at)`,
  `create table offerings (
     id text primary key not null, provider_pubkey text not null references providers (pubkey),
     pool_id text not null references pools (id), title text not null, description text not null,
     cpu integer not null check (cpu > 0), memory_mb integer not null check (memory_mb > 0),
     disk_gb integer not null check (disk_gb > 0), country text not null, operating_systems text not null,
     price_per_hour_e9s bigint not null check (price_per_hour_e9s >= 0),
     setup_fee_e9s bigint not null check (setup_fee_e9s >= 0), currency text not null,
     min_hours integer not null check (min_hours > 0), max_hours integer not null check (max_hours >= min_hours),
     places integer not null check (places >= 0), places_taken integer not null default 0 check (places_taken >= 0),
     retired_at bigint, created_at bigint not null)`,
  `create index offerings_provider on offerings (provider_pubkey)`,
  `create table contracts (
     id text primary key not null, version integer not null,
     state text not null check (state in ('requested', 'accepted', 'provisioning', 'provisioned', 'active', 'paused',
       'rejected', 'cancelled', 'failed', 'expired')),
     release text not null check (release in ('none', 'pending', 'released')),
     renter_pubkey text not null references accounts (pubkey), provider_pubkey text not null references providers (pubkey),
     offering_id text not null references offerings (id), offering_title text not null,
     pool_id text not null references pools (id), cpu integer not null, memory_mb integer not null,
     disk_gb integer not null, operating_system text not null, ssh_public_key text not null,
     duration_hours integer not null check (duration_hours > 0),
     total_e9s bigint not null check (total_e9s >= 0), setup_fee_e9s bigint not null check (setup_fee_e9s >= 0),
     currency text not null, payment_method text not null,
     payment_state text not null check (payment_state in ('pending', 'succeeded', 'failed', 'partially_refunded', 'refunded', 'disputed')),
     place_held integer not null check (place_held in (0, 1)), epoch integer not null, agent_key text,
     created_at bigint not null, state_since_at bigint not null, paid_at bigint, provisioned_at bigint,
     active_at bigint, ends_at bigint, ended_at bigint, paused_at bigint, paused_ms bigint not null,
     access text, verified_by text, last_error text,
     -- I2: nothing is provisioned before money is confirmed.
     check (state in ('requested', 'rejected', 'cancelled') or paid_at is not null))`,
  `create index contracts_renter on contracts (renter_pubkey, created_at)`,
  `create index contracts_provider on contracts (provider_pubkey, created_at)`,
  `create index contracts_state on contracts (state, state_since_at)`,
  `create index contracts_end on contracts (ends_at) where state in ('active', 'paused')`,
  `create table contract_history (
     contract_id text not null references contracts (id), version integer not null, at bigint not null,
     from_state text, to_state text not null, event text not null, actor text not null, reason text not null,
     primary key (contract_id, version))`,
  `create table payment_events (
     method text not null, event_id text not null, contract_id text not null references contracts (id),
     kind text not null, amount_e9s bigint not null, currency text not null, at bigint not null,
     primary key (method, event_id))`,
  `create table refunds (
     key text primary key not null, contract_id text not null references contracts (id),
     amount_e9s bigint not null check (amount_e9s > 0), currency text not null, reason text not null,
     created_at bigint not null, confirmed_at bigint)`,
  `create index refunds_contract on refunds (contract_id)`,
  `create table work (
     id text primary key not null, contract_id text not null references contracts (id), kind text not null,
     state text not null check (state in ('open', 'leased', 'done', 'withdrawn')),
     pool_id text not null, agent_key text, leased_by text, epoch integer not null, lease_expires_at bigint,
     tombstone text, returned text, not_before_at bigint not null, created_at bigint not null, done_at bigint)`,
  `create index work_open on work (pool_id, created_at) where state in ('open', 'leased')`,
  `create index work_contract on work (contract_id)`,
  // I4: never two pieces of work of one kind for one contract at the same time.
  `create unique index work_single on work (contract_id, kind) where state in ('open', 'leased')`,
  `create table records (
     agent_key text not null, seq integer not null, compact text not null, hash text not null, kind text not null,
     contract_id text not null, received_at bigint not null, outcome text not null, code text, checkpoint text,
     primary key (agent_key, seq))`,
  `create index records_contract on records (contract_id, kind, received_at)`,
  `create table chain_faults (agent_key text primary key not null, gap_from_seq integer, fork_at_seq integer)`,
  `create table forks (
     hash text primary key not null, agent_key text not null, seq integer not null, compact text not null, received_at bigint not null)`,
  `create table signals (id integer primary key autoincrement, topic text not null, key text not null, at bigint not null)`,
];

/** Makes the tables. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
