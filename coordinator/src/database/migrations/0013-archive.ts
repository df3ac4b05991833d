/** Contracts that ended long ago: what must be kept of them, without what is personal. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `create table archived_contracts (
     contract_id text primary key not null references contracts (id), renter_pubkey text not null,
     provider_pubkey text not null, ended_at bigint not null, archived_at bigint not null,
     delete_after_at bigint not null, body text not null, sha256 text not null)`,
  `create index archived_contracts_due on archived_contracts (delete_after_at)`,
  `create trigger archived_contracts_no_update before update on archived_contracts begin
     select raise(abort, 'archive: what is archived does not change'); end`,
  `create index provider_events_bodies on provider_events (payment_key) where body is not null`,
  // A contract without its SSH key is archived: there is none without one before.
  `create index contracts_archivable on contracts (ended_at) where ended_at is not null and ssh_public_key <> ''`,
];

/** Makes them. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
