/** What people see of credentials: what is under way and until when a password can be read, and the sealed boxes. */
import { AppError } from '@dc/shared/errors';
import { BOX_ALGORITHM, type SealedBox } from '@dc/shared/crypto/sealed-box';
import type { PasswordProof, WireContract, WireCredentials } from '@dc/shared/wire/contract';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { listActiveKeys } from '../accounts/account-store.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader } from '../database/database.ts';
import { recipientsOf } from './credential-rules.ts';
import { findLatestChange, findLatestPassword, findPendingChange, hasChanges } from './credential-store.ts';

/** The `credentials` of a contract; null where no change was ever asked for. */
export async function viewCredentials(
  reader: Reader,
  contractId: string,
): Promise<NonNullable<WireContract['credentials']> | null> {
  if (!(await hasChanges(reader, contractId))) return null;
  const [pending, password, latest] = await Promise.all([
    findPendingChange(reader, contractId),
    findLatestPassword(reader, contractId),
    findLatestChange(reader, contractId, 'reset_password'),
  ]);
  const isLatest = password?.work_id === latest?.work_id;
  const time = (ms: number | null | undefined): string | null => (ms == null ? null : toTimestamp(ms));
  return {
    pending: pending === null ? null : { kind: pending.kind, since: toTimestamp(pending.since) },
    password_made_at: time(password?.done_at),
    password_until: time(password?.expires_at),
    // One that failed, or was withdrawn on its way, may have set another one before.
    password_in_doubt: password !== null && !isLatest && pending?.kind !== 'reset_password',
  };
}

/**
 * The latest password in its boxes, one for each key that it was sealed to and that is still the account's. Throws
 * CREDENTIALS_NOT_FOUND where none was made, CREDENTIALS_EXPIRED after seven days.
 */
export async function viewPassword(
  reader: Reader,
  contract: ContractRow,
  now: number,
): Promise<WireCredentials> {
  const password = await findLatestPassword(reader, contract.id);
  if (password === null) {
    const isComing = (await findPendingChange(reader, contract.id))?.kind === 'reset_password';
    if (!isComing) throw new AppError('CREDENTIALS_NOT_FOUND');
    throw new AppError('CREDENTIALS_NOT_FOUND', 'The password is still being made.', {
      remedy: 'Ask again in a moment: `credentials` of the contract tells when it is there.',
    });
  }
  const { done_at, expires_at, user_name, proof, boxes } = password;
  if (boxes === null || expires_at === null || expires_at <= now) throw new AppError('CREDENTIALS_EXPIRED');
  const sealed = JSON.parse(boxes) as SealedBox[];
  const keys = await listActiveKeys(reader, contract.renter_pubkey);
  const isActive = new Set(keys.map(({ public_key }) => public_key));
  return {
    contract_id: contract.id,
    user: user_name ?? '',
    made_at: toTimestamp(done_at ?? 0),
    expires_at: toTimestamp(expires_at),
    proof: proof as PasswordProof,
    algorithm: BOX_ALGORITHM,
    boxes: recipientsOf(password).flatMap((public_key, index) => {
      const box = sealed[index];
      return box === undefined || !isActive.has(public_key) ? [] : [{ public_key, ...box }];
    }),
  };
}
