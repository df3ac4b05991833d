/**
 * Making accounts, and adding and revoking their keys.
 *
 * INVARIANTS:
 * - A key belongs to one account or one agent, for ever: a revoked key cannot come back, not even to its own account.
 * - Every key that comes in passes `parsePublicKey`: signatures of keys of small order can be forged.
 */
import { verifySignature } from '@dc/shared/crypto/ed25519';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { AppError } from '@dc/shared/errors';
import { fromHex } from '@dc/shared/ids';
import { addKeyText } from '@dc/shared/wire/account';
import type { Transaction } from '../database/database.ts';
import {
  findKey,
  insertAccount,
  insertKey,
  isAgentKey,
  listActiveKeys,
  revokeKey,
  type AccountRow,
} from './account-store.ts';
import { deleteSessionsOf } from './session-store.ts';
import { isReserved } from './username-rules.ts';

const KEYS_MAX = 10;

/** Who wants an account. */
export interface NewAccount {
  publicKey: string;
  username: string | null;
  email: string | null;
}

/** Makes an account of a key. Throws ACCOUNT_EXISTS, KEY_REVOKED, KEY_TAKEN or USERNAME_TAKEN. */
export async function createAccount(trx: Transaction, wanted: NewAccount, now: number): Promise<AccountRow> {
  const key = await findKey(trx, wanted.publicKey);
  if (key !== null) throw new AppError(key.revoked_at === null ? 'ACCOUNT_EXISTS' : 'KEY_REVOKED');
  if (await isAgentKey(trx, wanted.publicKey))
    throw new AppError('KEY_TAKEN', 'This is the key of an agent.');
  if (wanted.username !== null && isReserved(wanted.username))
    throw new AppError('USERNAME_TAKEN', 'This username is kept back.');
  const row = {
    pubkey: wanted.publicKey,
    username: wanted.username,
    email: wanted.email,
    is_admin: 0,
    created_at: now,
  };
  if (!(await insertAccount(trx, row))) throw new AppError('USERNAME_TAKEN');
  await insertKey(trx, {
    public_key: wanted.publicKey,
    account_pubkey: wanted.publicKey,
    label: 'first key',
    added_at: now,
    revoked_at: null,
  });
  return row;
}

/** A further key for an account, and the proof that its holder wants that. */
export interface NewKey {
  account: string;
  publicKey: string;
  label: string;
  /** In hex, over `addKeyText`. */
  proof: string;
}

/** Adds a key. Throws KEY_WEAK, SIGNATURE_INVALID, KEY_TAKEN or KEY_LIMIT. */
export async function addKey(trx: Transaction, wanted: NewKey, now: number): Promise<void> {
  parsePublicKey(wanted.publicKey);
  const text = Buffer.from(addKeyText(wanted.account, wanted.publicKey));
  if (!verifySignature(wanted.publicKey, text, fromHex(wanted.proof)))
    throw new AppError('SIGNATURE_INVALID', 'The proof is not the new key’s signature.', {
      fields: [
        { pointer: '/proof', detail: 'must be the new key’s signature over the text in its description' },
      ],
    });
  const known = await findKey(trx, wanted.publicKey);
  if (known !== null)
    throw new AppError(
      'KEY_TAKEN',
      known.revoked_at === null ? undefined : 'This key was revoked and cannot come back.',
    );
  if (await isAgentKey(trx, wanted.publicKey))
    throw new AppError('KEY_TAKEN', 'This is the key of an agent.');
  const keys = await listActiveKeys(trx, wanted.account);
  if (keys.length >= KEYS_MAX) throw new AppError('KEY_LIMIT', `An account holds ${String(KEYS_MAX)} keys.`);
  await insertKey(trx, {
    public_key: wanted.publicKey,
    account_pubkey: wanted.account,
    label: wanted.label,
    added_at: now,
    revoked_at: null,
  });
}

/**
 * Revokes a key at once; again is a success. All sessions of the account end with it, because nobody knows which of
 * them were opened by whoever has the key now. Throws KEY_NOT_FOUND and KEY_LAST.
 */
export async function removeKey(
  trx: Transaction,
  account: string,
  publicKey: string,
  now: number,
): Promise<void> {
  const key = await findKey(trx, publicKey);
  if (key?.account_pubkey !== account) throw new AppError('KEY_NOT_FOUND');
  if (key.revoked_at !== null) return;
  if ((await listActiveKeys(trx, account)).length === 1) throw new AppError('KEY_LAST');
  await revokeKey(trx, publicKey, now);
  await deleteSessionsOf(trx, account);
}
