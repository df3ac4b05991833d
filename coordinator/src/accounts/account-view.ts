/** Accounts as everybody may see them: no email. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireAccount } from '@dc/shared/wire/account';
import type { Reader } from '../database/database.ts';
import { findAccount, listActiveKeys, type AccountRow } from './account-store.ts';

/** The account on the wire, with its keys that are not revoked. */
export async function viewAccount(reader: Reader, row: AccountRow): Promise<WireAccount> {
  const keys = await listActiveKeys(reader, row.pubkey);
  return {
    pubkey: row.pubkey,
    username: row.username,
    keys: keys.map((key) => ({
      public_key: key.public_key,
      label: key.label,
      added_at: toTimestamp(key.added_at),
    })),
    created_at: toTimestamp(row.created_at),
  };
}

/** The same by the account's name, which must be there: a principal's account always is. */
export async function viewOwnAccount(reader: Reader, pubkey: string): Promise<WireAccount> {
  const row = await findAccount(reader, pubkey);
  if (row === null) throw new Error('the account of a principal is not there');
  return viewAccount(reader, row);
}
