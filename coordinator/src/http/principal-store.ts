/**
 * Who a credential speaks for, as the database knows it now, and the spending of nonces. A route that writes asks
 * inside its own transaction: what was revoked before that commit is refused, on every coordinator of the database.
 *
 * The two queries of every signed request are written as SQL, because building them costs more than running them.
 */
import { sql } from 'kysely';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import type { AgentPermission } from '@dc/shared/delegation/delegation';
import { AppError } from '@dc/shared/errors';
import type { VerifiedSignature } from '@dc/shared/signing/verify-request';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { Credential } from './credential.ts';
import type { AccountPrincipal, AgentPrincipal, Principal } from './principal.ts';

/** Which kind of key a route expects; the other kind is looked for only to give the right answer. */
export type ExpectedKey = 'agent' | 'account';

/**
 * The principal of a credential at `now`. A key that nobody registered is `{kind: 'key'}`. Throws KEY_REVOKED,
 * SESSION_INVALID, and KEY_WEAK for an unknown key whose signatures anybody could forge.
 */
export async function findPrincipal(
  reader: Reader,
  credential: Credential,
  expected: ExpectedKey,
  now: number,
): Promise<Principal> {
  switch (credential.kind) {
    case 'none':
      return { kind: 'anonymous' };
    case 'session':
      return findSession(reader, credential.tokenHash, now);
    case 'signature': {
      const key = credential.keyid;
      const known =
        expected === 'agent'
          ? ((await findAgent(reader, key, now)) ?? (await findAccount(reader, key)))
          : ((await findAccount(reader, key)) ?? (await findAgent(reader, key, now)));
      return known ?? { kind: 'key', publicKey: parsePublicKey(key) };
    }
  }
}

/** Spends the nonce of a signature. Throws SIGNATURE_REPLAYED where it was spent before (I11). */
export async function spendNonce(trx: Transaction, signature: VerifiedSignature): Promise<void> {
  const { keyid, nonce, nonceExpiresAt } = signature;
  const result = await statement`insert into nonces (public_key, nonce, expires_at)
    values (${keyid}, ${nonce}, ${nonceExpiresAt}) on conflict do nothing`.execute(trx);
  if (result.numAffectedRows !== 1n) throw new AppError('SIGNATURE_REPLAYED');
}

/**
 * Forgets up to `limit` nonces whose requests the skew check refuses by now, and resolves with how many. For the
 * housekeeping job.
 */
export async function pruneNonces(trx: Transaction, now: number, limit: number): Promise<number> {
  const result = await sql`
    delete from nonces where (public_key, nonce) in (
      select public_key, nonce from nonces where expires_at < ${now} limit ${limit})`.execute(trx);
  return Number(result.numAffectedRows ?? 0);
}

interface AccountRow {
  account_pubkey: string;
  revoked_at: number | null;
  is_admin: number;
  provider: string | null;
}

async function findAccount(reader: Reader, publicKey: string): Promise<AccountPrincipal | null> {
  const { rows } = await statement<AccountRow>`
    select k.account_pubkey, k.revoked_at, a.is_admin, p.pubkey as provider
    from account_keys k join accounts a on a.pubkey = k.account_pubkey
    left join providers p on p.pubkey = k.account_pubkey
    where k.public_key = ${publicKey}`.execute(reader);
  const [row] = rows;
  if (row === undefined) return null;
  if (row.revoked_at !== null) throw new AppError('KEY_REVOKED');
  return toAccount(row, publicKey);
}

interface AgentRow {
  provider_pubkey: string;
  pool_id: string;
  permissions: string;
  expires_at: number | null;
  revoked_at: number | null;
}

async function findAgent(reader: Reader, publicKey: string, now: number): Promise<AgentPrincipal | null> {
  const { rows } = await statement<AgentRow>`
    select provider_pubkey, pool_id, permissions, expires_at, revoked_at
    from agents where public_key = ${publicKey}`.execute(reader);
  const [row] = rows;
  if (row === undefined) return null;
  if (row.revoked_at !== null) throw new AppError('KEY_REVOKED', 'The delegation of this agent was revoked.');
  if (row.expires_at !== null && row.expires_at <= now)
    throw new AppError('KEY_REVOKED', 'The delegation of this agent has expired.');
  return {
    kind: 'agent',
    publicKey,
    provider: row.provider_pubkey,
    poolId: row.pool_id,
    permissions: JSON.parse(row.permissions) as AgentPermission[],
  };
}

async function findSession(reader: Reader, tokenHash: string, now: number): Promise<AccountPrincipal> {
  const { rows } = await sql<AccountRow>`
    select s.account_pubkey, null as revoked_at, a.is_admin, p.pubkey as provider
    from sessions s join accounts a on a.pubkey = s.account_pubkey
    left join providers p on p.pubkey = s.account_pubkey
    where s.token_hash = ${tokenHash} and s.expires_at > ${now}`.execute(reader);
  const [row] = rows;
  if (row === undefined) throw new AppError('SESSION_INVALID');
  return toAccount(row, null);
}

function toAccount(row: AccountRow, publicKey: string | null): AccountPrincipal {
  return {
    kind: 'account',
    account: row.account_pubkey,
    publicKey,
    isProvider: row.provider !== null,
    isAdmin: row.is_admin === 1,
  };
}
