/**
 * The SQL of changes of credentials. Whether one is under way is what its work item says; here is what was asked for
 * and, for seven days, the boxes that came of it.
 */
import type { Selectable } from 'kysely';
import { CREDENTIAL_KINDS, type CredentialKind, type PasswordProof } from '@dc/shared/wire/contract';
import type { SealedBox } from '@dc/shared/crypto/sealed-box';
import type { Reader, Transaction } from '../database/database.ts';
import type { CredentialChangesTable } from '../database/tables-spine.ts';

export type CredentialChange = Omit<Selectable<CredentialChangesTable>, 'kind'> & { kind: CredentialKind };

/** Notes what was asked for. */
export async function insertChange(
  trx: Transaction,
  change: Pick<
    CredentialChange,
    'work_id' | 'contract_id' | 'kind' | 'asked_at' | 'seal_to' | 'ssh_public_key'
  >,
): Promise<void> {
  await trx.insertInto('credential_changes').values(change).execute();
}

/** What the order of this work item is about. */
export async function findChange(reader: Reader, workId: string): Promise<CredentialChange | null> {
  const row = await reader
    .selectFrom('credential_changes')
    .selectAll()
    .where('work_id', '=', workId)
    .executeTakeFirst();
  return (row as CredentialChange | undefined) ?? null;
}

/** The latest change of a kind that was asked for, done or not. */
export async function findLatestChange(
  reader: Reader,
  contractId: string,
  kind: CredentialKind,
): Promise<CredentialChange | null> {
  const row = await reader
    .selectFrom('credential_changes')
    .selectAll()
    .where('contract_id', '=', contractId)
    .where('kind', '=', kind)
    .orderBy('asked_at', 'desc')
    // Asked for in one millisecond: the one before was done by then, since there is one at a time.
    .orderBy((row) => row('done_at', 'is not', null))
    .limit(1)
    .executeTakeFirst();
  return (row as CredentialChange | undefined) ?? null;
}

/** The latest password that was made. */
export async function findLatestPassword(
  reader: Reader,
  contractId: string,
): Promise<CredentialChange | null> {
  const row = await reader
    .selectFrom('credential_changes')
    .selectAll()
    .where('contract_id', '=', contractId)
    .where('kind', '=', 'reset_password')
    .where('done_at', 'is not', null)
    .orderBy('done_at', 'desc')
    // Done in one millisecond: only the newest keeps its boxes.
    .orderBy((row) => row('boxes', 'is', null))
    .limit(1)
    .executeTakeFirst();
  return (row as CredentialChange | undefined) ?? null;
}

/** The change that is under way, if any: its order is open or leased. */
export async function findPendingChange(
  reader: Reader,
  contractId: string,
): Promise<{ kind: CredentialKind; since: number } | null> {
  const row = await reader
    .selectFrom('work')
    .select(['kind', 'created_at'])
    .where('contract_id', '=', contractId)
    .where('kind', 'in', [...CREDENTIAL_KINDS])
    .where('state', 'in', ['open', 'leased'])
    .executeTakeFirst();
  return row === undefined ? null : { kind: row.kind as CredentialKind, since: row.created_at };
}

/** Whether anything was ever asked for. */
export async function hasChanges(reader: Reader, contractId: string): Promise<boolean> {
  const row = await reader
    .selectFrom('credential_changes')
    .select('work_id')
    .where('contract_id', '=', contractId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** What came of a password. */
export interface MadePassword {
  user: string;
  proof: PasswordProof;
  /** In the order of the change's `seal_to`. */
  boxes: readonly SealedBox[];
}

/** Marks a change as done; with `made`, keeps the boxes until `expiresAt`. Older boxes of the contract go: they open nothing. */
export async function finishChange(
  trx: Transaction,
  change: CredentialChange,
  done: { at: number; made: (MadePassword & { expiresAt: number }) | null },
): Promise<void> {
  const { at, made } = done;
  if (made !== null) {
    await trx
      .updateTable('credential_changes')
      .set({ boxes: null })
      .where('contract_id', '=', change.contract_id)
      .execute();
  }
  const kept =
    made === null
      ? {}
      : {
          user_name: made.user,
          proof: made.proof,
          boxes: JSON.stringify(made.boxes),
          expires_at: made.expiresAt,
        };
  await trx
    .updateTable('credential_changes')
    .set({ done_at: at, ...kept })
    .where('work_id', '=', change.work_id)
    .execute();
}

/** Forgets boxes whose time is over, up to `limit`. Returns how many. */
export async function forgetBoxes(trx: Transaction, now: number, limit: number): Promise<number> {
  const result = await trx
    .updateTable('credential_changes')
    .set({ boxes: null })
    .where('work_id', 'in', (expired) =>
      expired
        .selectFrom('credential_changes')
        .select('work_id')
        .where('boxes', 'is not', null)
        .where('expires_at', '<=', now)
        .limit(limit),
    )
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}
