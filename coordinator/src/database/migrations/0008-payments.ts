/**
 * Payments that are made elsewhere: what was asked for and its names at the provider, what the provider told us, the
 * refunds that it made, and disputes. docs/decisions/payments.md explains them.
 */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `create table payments (
     key text primary key not null, method text not null, account_pubkey text not null,
     contract_id text references contracts (id), extension_id text references extensions (id),
     amount_e9s bigint not null check (amount_e9s > 0), currency text not null,
     tax_e9s bigint not null default 0 check (tax_e9s >= 0),
     state text not null check (state in ('asked', 'open', 'processing', 'authorised', 'paid', 'failed', 'closed', 'voided')),
     is_for_delivery integer not null check (is_for_delivery in (0, 1)), description text not null, email text,
     refund_to text not null check (refund_to in ('source', 'wallet')),
     external_id text, payment_ref text, charge_ref text, checkout_url text, reason text,
     created_at bigint not null, expires_at bigint not null, look_at bigint, looks integer not null default 0,
     arrived_at bigint, settled_at bigint)`,
  `create unique index payments_external on payments (method, external_id) where external_id is not null`,
  `create unique index payments_ref on payments (method, payment_ref) where payment_ref is not null`,
  `create index payments_charge on payments (method, charge_ref) where charge_ref is not null`,
  `create index payments_contract on payments (contract_id) where contract_id is not null`,
  `create index payments_account on payments (account_pubkey, created_at)`,
  `create index payments_look on payments (look_at) where look_at is not null`,
  // Each event of a provider once (I3). The body stays where nobody knew what it was about, or it did not fit.
  `create table provider_events (
     method text not null, event_id text not null, type text not null, received_at bigint not null,
     outcome text not null check (outcome in ('applied', 'ignored', 'unknown', 'mismatch')),
     object_ref text, payment_key text, detail text, body text, settled_at bigint,
     primary key (method, event_id))`,
  `create index provider_events_waiting on provider_events (received_at)
     where outcome in ('unknown', 'mismatch') and settled_at is null`,
  `create index provider_events_orphan on provider_events (method, object_ref)
     where outcome = 'unknown' and settled_at is null`,
  // What of a payment was given back. refund_key is null for a refund that was made by hand at the provider.
  `create table payment_refunds (
     id text primary key not null, method text not null, payment_key text not null references payments (key),
     refund_key text, external_id text, amount_e9s bigint not null check (amount_e9s > 0), tax_e9s bigint not null check (tax_e9s >= 0), currency text not null,
     state text not null check (state in ('planned', 'pending', 'succeeded', 'failed')),
     reason text, created_at bigint not null, settled_at bigint)`,
  `create unique index payment_refunds_external on payment_refunds (method, external_id) where external_id is not null`,
  `create index payment_refunds_key on payment_refunds (refund_key) where refund_key is not null`,
  `create index payment_refunds_payment on payment_refunds (payment_key)`,
  `create table disputes (
     method text not null, id text not null, payment_key text references payments (key),
     contract_id text references contracts (id), payment_ref text, charge_ref text,
     status text not null check (status in ('warning', 'open', 'won', 'lost')),
     funds text not null check (funds in ('none', 'withdrawn', 'reinstated')),
     amount_e9s bigint not null, currency text not null, reason text not null, evidence_due_at bigint,
     held_from text check (held_from in ('escrow', 'refund_due', 'wallet')),
     paused integer not null default 0 check (paused in (0, 1)), created_at bigint not null, updated_at bigint not null,
     closed_at bigint, primary key (method, id))`,
  `create index disputes_open on disputes (created_at) where closed_at is null`,
  `create index disputes_contract on disputes (contract_id) where contract_id is not null`,
];

/** Makes them. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
