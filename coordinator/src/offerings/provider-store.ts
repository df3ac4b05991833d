/** Providers, their pools and the grants of their setup tokens in the database. */
import type { Insertable, Selectable } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { AgentsTable, GrantsTable, PoolsTable, ProvidersTable } from '../database/tables-spine.ts';

export type ProviderRow = Selectable<ProvidersTable>;
export type PoolRow = Selectable<PoolsTable>;
export type GrantRow = Selectable<GrantsTable>;

export async function findProvider(reader: Reader, pubkey: string): Promise<ProviderRow | null> {
  const row = await reader
    .selectFrom('providers')
    .selectAll()
    .where('pubkey', '=', pubkey)
    .executeTakeFirst();
  return row ?? null;
}

/** Whether the provider's paid contracts are accepted without asking it. */
export async function autoAccepts(reader: Reader, pubkey: string): Promise<boolean> {
  return (await findProvider(reader, pubkey))?.auto_accept === 1;
}

/** Makes an account a provider. Returns false where it is one already. */
export async function insertProvider(trx: Transaction, row: ProviderRow): Promise<boolean> {
  const result = await trx
    .insertInto('providers')
    .values(row)
    .onConflict((conflict) => conflict.column('pubkey').doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** The pool, where it is this provider's. */
export async function findPool(reader: Reader, id: string, provider: string): Promise<PoolRow | null> {
  const row = await reader
    .selectFrom('pools')
    .selectAll()
    .where('id', '=', id)
    .where('provider_pubkey', '=', provider)
    .executeTakeFirst();
  return row ?? null;
}

/** The provider's oldest pool in this country. */
export async function findPoolIn(reader: Reader, country: string, provider: string): Promise<PoolRow | null> {
  const row = await reader
    .selectFrom('pools')
    .selectAll()
    .where('provider_pubkey', '=', provider)
    .where('country', '=', country)
    .orderBy('id')
    .executeTakeFirst();
  return row ?? null;
}

/** Up to `limit` of the provider's pools after the id `after`, oldest first (ids sort by time). */
export function listPools(
  reader: Reader,
  provider: string,
  { after, limit }: { after: string; limit: number },
): Promise<PoolRow[]> {
  return reader
    .selectFrom('pools')
    .selectAll()
    .where('provider_pubkey', '=', provider)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

export async function insertPool(trx: Transaction, row: Insertable<PoolsTable>): Promise<void> {
  await trx.insertInto('pools').values(row).execute();
}

export async function findGrant(reader: Reader, setupKey: string): Promise<GrantRow | null> {
  const row = await reader
    .selectFrom('grants')
    .selectAll()
    .where('setup_key', '=', setupKey)
    .executeTakeFirst();
  return row ?? null;
}

export async function insertGrant(trx: Transaction, row: GrantRow): Promise<void> {
  await trx.insertInto('grants').values(row).execute();
}

/** All agents that the provider ever had: what a revoked one signed is still part of its record. */
export function listAgents(reader: Reader, provider: string): Promise<Selectable<AgentsTable>[]> {
  return reader
    .selectFrom('agents')
    .selectAll()
    .where('provider_pubkey', '=', provider)
    .orderBy('created_at')
    .orderBy('public_key')
    .execute();
}
