/** Log-in challenges and sessions in the database. Of a session's token only the hash is kept. */
import type { Transaction } from '../database/database.ts';

/** More than a person has browsers: the oldest goes. */
const SESSIONS_PER_ACCOUNT_MAX = 20;

export async function insertChallenge(
  trx: Transaction,
  row: { challenge: string; public_key: string; expires_at: number },
): Promise<void> {
  await trx.insertInto('challenges').values(row).execute();
}

/** Uses up a challenge of this key. Returns false where there is none that is still good at `now`. */
export async function useChallenge(
  trx: Transaction,
  challenge: string,
  publicKey: string,
  now: number,
): Promise<boolean> {
  const result = await trx
    .deleteFrom('challenges')
    .where('challenge', '=', challenge)
    .where('public_key', '=', publicKey)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Opens a session, and ends the oldest where the account has too many. */
export async function insertSession(
  trx: Transaction,
  row: { token_hash: string; account_pubkey: string; created_at: number; expires_at: number },
): Promise<void> {
  await trx.insertInto('sessions').values(row).execute();
  const tooMany = await trx
    .selectFrom('sessions')
    .select('token_hash')
    .where('account_pubkey', '=', row.account_pubkey)
    .orderBy('created_at', 'desc')
    .offset(SESSIONS_PER_ACCOUNT_MAX)
    .limit(SESSIONS_PER_ACCOUNT_MAX)
    .execute();
  for (const { token_hash } of tooMany) await deleteSession(trx, token_hash);
}

export async function deleteSession(trx: Transaction, tokenHash: string): Promise<void> {
  await trx.deleteFrom('sessions').where('token_hash', '=', tokenHash).execute();
}

/** Ends all sessions of an account. */
export async function deleteSessionsOf(trx: Transaction, account: string): Promise<void> {
  await trx.deleteFrom('sessions').where('account_pubkey', '=', account).execute();
}

/** Forgets what has expired. For the housekeeping job. */
export async function pruneSessions(trx: Transaction, now: number): Promise<void> {
  await trx.deleteFrom('challenges').where('expires_at', '<=', now).execute();
  await trx.deleteFrom('sessions').where('expires_at', '<=', now).execute();
}
