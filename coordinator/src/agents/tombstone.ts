/**
 * Tombstones as the database keeps them: signed by this coordinator when the contract ended. A row that somebody else
 * has written, or copied from another contract, is none, and never becomes an order (invariants I7, I13).
 */
import { parseJws, signJws, verifyJws } from '@dc/shared/crypto/jws';
import type { Tombstone } from '@dc/shared/orders/order';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';

const TOMBSTONE_TYP = 'dc-tombstone';

type KeptTombstone = Tombstone & { environment: string };

/** The tombstone as it is kept in the contract's work. */
export function sealTombstone({ key, config }: Context, tombstone: Tombstone): string {
  const kept: KeptTombstone = { ...tombstone, environment: config.environment };
  return signJws(TOMBSTONE_TYP, kept, key);
}

/** The tombstone of a contract that has ended as it says; null where it is not one that this coordinator made. */
export function readTombstone(
  { keys, config }: Context,
  contract: Pick<ContractRow, 'id' | 'state'>,
  kept: string | null,
): Tombstone | null {
  const jws = kept === null ? null : parseJws(kept);
  if (jws === null || !keys.has(jws.kid) || !verifyJws(jws, TOMBSTONE_TYP)) return null;
  const { contract_id, reason, at, environment } = jws.payload as KeptTombstone;
  if (contract_id !== contract.id || reason !== contract.state || environment !== config.environment)
    return null;
  return { contract_id, reason, at };
}
