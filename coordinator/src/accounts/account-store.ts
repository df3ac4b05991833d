/** Accounts and their keys in the database. A key that was revoked keeps its row, so that it can never come back. */
import type { Selectable } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { AccountKeysTable, AccountsTable } from '../database/tables-spine.ts';

export type AccountRow = Selectable<AccountsTable>;
export type AccountKeyRow = Selectable<AccountKeysTable>;

export async function findAccount(reader: Reader, pubkey: string): Promise<AccountRow | null> {
  const row = await reader.selectFrom('accounts').selectAll().where('pubkey', '=', pubkey).executeTakeFirst();
  return row ?? null;
}

export async function findAccountByUsername(reader: Reader, username: string): Promise<AccountRow | null> {
  const row = await reader
    .selectFrom('accounts')
    .selectAll()
    .where('username', '=', username)
    .executeTakeFirst();
  return row ?? null;
}

/** The key's row, revoked or not. */
export async function findKey(reader: Reader, publicKey: string): Promise<AccountKeyRow | null> {
  const row = await reader
    .selectFrom('account_keys')
    .selectAll()
    .where('public_key', '=', publicKey)
    .executeTakeFirst();
  return row ?? null;
}

/** The keys that are not revoked, oldest first. */
export function listActiveKeys(reader: Reader, account: string): Promise<AccountKeyRow[]> {
  return reader
    .selectFrom('account_keys')
    .selectAll()
    .where('account_pubkey', '=', account)
    .where('revoked_at', 'is', null)
    .orderBy('added_at')
    .orderBy('public_key')
    .execute();
}

/** Whether an agent was ever registered with this key: one key never speaks for two. */
export async function isAgentKey(reader: Reader, publicKey: string): Promise<boolean> {
  const row = await reader
    .selectFrom('agents')
    .select('public_key')
    .where('public_key', '=', publicKey)
    .executeTakeFirst();
  return row !== undefined;
}

/** Adds an account. Returns false, having added nothing, where the username is taken. */
export async function insertAccount(trx: Transaction, row: AccountRow): Promise<boolean> {
  const result = await trx
    .insertInto('accounts')
    .values(row)
    .onConflict((conflict) => conflict.column('username').doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

export async function insertKey(trx: Transaction, row: AccountKeyRow): Promise<void> {
  await trx.insertInto('account_keys').values(row).execute();
}

export async function revokeKey(trx: Transaction, publicKey: string, at: number): Promise<void> {
  await trx
    .updateTable('account_keys')
    .set({ revoked_at: at })
    .where('public_key', '=', publicKey)
    .where('revoked_at', 'is', null)
    .execute();
}
