/** Changes of an instance's password and key: what was asked for, and the sealed boxes that came of it. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `create table credential_changes (
     work_id text primary key not null references work (id), contract_id text not null references contracts (id),
     kind text not null check (kind in ('reset_password', 'rotate_ssh_key')), asked_at bigint not null,
     seal_to text, ssh_public_key text, done_at bigint, user_name text, proof text, boxes text, expires_at bigint,
     check ((kind = 'reset_password') = (seal_to is not null)),
     check ((kind = 'rotate_ssh_key') = (ssh_public_key is not null)))`,
  `create index credential_changes_contract on credential_changes (contract_id, asked_at)`,
  `create index credential_changes_expiry on credential_changes (expires_at) where boxes is not null`,
];

/** Makes the table. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
