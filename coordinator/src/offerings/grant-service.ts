/** Taking in the grants that providers sign for setup tokens. The token itself never comes here. */
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { verifyGrant } from '@dc/shared/delegation/delegation';
import { AppError } from '@dc/shared/errors';
import { findKey } from '../accounts/account-store.ts';
import type { Transaction } from '../database/database.ts';
import type { CoordinatorKeys } from '../keys/coordinator-keys.ts';
import { findGrant, findPool, insertGrant, type GrantRow } from './provider-store.ts';

/** A token lies about in a terminal or a chat until it is used: not for longer than setting up a machine takes. */
const TOKEN_LIFE_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** For whom and when a grant is taken in. */
export interface GrantReceipt {
  provider: string;
  keys: Pick<CoordinatorKeys, 'counts'>;
  now: number;
}

/**
 * Verifies and keeps a grant; the same grant again is a success. Throws GRANT_INVALID, GRANT_EXPIRED, GRANT_USED,
 * KEY_WEAK, KEY_REVOKED or POOL_NOT_FOUND.
 */
export async function takeGrant(trx: Transaction, compact: string, receipt: GrantReceipt): Promise<GrantRow> {
  const { provider, keys, now } = receipt;
  const grant = verifyGrant(compact);
  if (grant.iss !== provider)
    throw new AppError('GRANT_INVALID', 'The grant is not signed by this provider’s key.');
  if (!keys.counts(grant.coordinator_key))
    throw new AppError('GRANT_INVALID', 'The grant is for an agent of another coordinator.');
  if (grant.permissions.length === 0) throw new AppError('GRANT_INVALID', 'The grant permits nothing.');
  parsePublicKey(grant.sub);
  const expiresAt = grant.exp * 1000;
  if (expiresAt <= now || (grant.delegation_exp !== null && grant.delegation_exp * 1000 <= now))
    throw new AppError('GRANT_EXPIRED');
  if (expiresAt > now + TOKEN_LIFE_MS_MAX)
    throw new AppError('GRANT_INVALID', 'A setup token is good for seven days at most.');
  // The account's first key names the provider for ever, but once revoked it signs nothing any more.
  if ((await findKey(trx, provider))?.revoked_at !== null)
    throw new AppError('KEY_REVOKED', 'The key that signed the grant was revoked.');
  if ((await findPool(trx, grant.pool_id, provider)) === null) throw new AppError('POOL_NOT_FOUND');
  const known = await findGrant(trx, grant.sub);
  if (known !== null) {
    if (known.grant_jws === compact) return known;
    throw new AppError('GRANT_USED', 'There is another grant for this setup token.');
  }
  const row = {
    setup_key: grant.sub,
    provider_pubkey: provider,
    pool_id: grant.pool_id,
    grant_jws: compact,
    expires_at: expiresAt,
    used_by: null,
    created_at: now,
  };
  await insertGrant(trx, row);
  return row;
}
