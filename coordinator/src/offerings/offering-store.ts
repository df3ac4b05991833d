/** Offerings in the database: what is for sale, and how many places of it are taken. */
import { sql, type ExpressionBuilder, type Selectable } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { OfferingsTable } from '../database/tables-spine.ts';
import type { Tables } from '../database/tables.ts';

export type OfferingRow = Selectable<OfferingsTable>;

/** An offering as it is listed. */
export type ListedOffering = OfferingRow & { provider_name: string; in_stock: number };

/** What is looked for. All of it must hold. */
export interface OfferingFilter {
  /** Each word must be in the title, the description or the provider's name. */
  words: readonly string[];
  id?: string | undefined;
  country?: string | undefined;
  provider?: string | undefined;
  minCpu?: number | undefined;
  minMemoryMb?: number | undefined;
  maxPriceE9s?: bigint | undefined;
  inStock?: boolean | undefined;
  /** The last offering of the page before: cheapest first, then by id. */
  after?: { priceE9s: bigint; id: string } | undefined;
  limit: number;
}

/** When an agent counts as online. */
export interface Presence {
  now: number;
  offlineAfterMs: number;
}

/** The offering, retired or not. */
export async function findOffering(reader: Reader, id: string): Promise<OfferingRow | null> {
  const row = await reader.selectFrom('offerings').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

/** Whether an agent that may act now was heard of within `offlineAfterMs` in this pool. */
export async function isPoolOnline(
  reader: Reader,
  poolId: string,
  now: number,
  offlineAfterMs: number,
): Promise<boolean> {
  const row = await reader
    .selectFrom('agents')
    .select('public_key')
    .where('pool_id', '=', poolId)
    .where('last_heartbeat_at', '>', now - offlineAfterMs)
    .where('revoked_at', 'is', null)
    .where((agent) => agent.or([agent('expires_at', 'is', null), agent('expires_at', '>', now)]))
    .executeTakeFirst();
  return row !== undefined;
}

/** Offerings that are for sale, cheapest first. */
export function listOfferings(
  reader: Reader,
  filter: OfferingFilter,
  presence: Presence,
): Promise<ListedOffering[]> {
  let query = reader
    .selectFrom('offerings as o')
    .innerJoin('providers as p', 'p.pubkey', 'o.provider_pubkey')
    .selectAll('o')
    .select('p.name as provider_name')
    .select((o) => inStock(o, presence).as('in_stock'))
    .where('o.retired_at', 'is', null);
  for (const word of filter.words) {
    const pattern = `%${word.toLowerCase().replaceAll(/[\\%_]/g, '\\$&')}%`;
    query = query.where(
      sql<boolean>`(lower(o.title) like ${pattern} escape '\\' or lower(o.description) like ${pattern} escape '\\'
        or lower(p.name) like ${pattern} escape '\\')`,
    );
  }
  const { id, country, provider, minCpu, minMemoryMb, maxPriceE9s, after } = filter;
  if (id !== undefined) query = query.where('o.id', '=', id);
  if (country !== undefined) query = query.where('o.country', '=', country);
  if (provider !== undefined) query = query.where('o.provider_pubkey', '=', provider);
  if (minCpu !== undefined) query = query.where('o.cpu', '>=', minCpu);
  if (minMemoryMb !== undefined) query = query.where('o.memory_mb', '>=', minMemoryMb);
  if (maxPriceE9s !== undefined) query = query.where('o.price_per_hour_e9s', '<=', maxPriceE9s);
  if (filter.inStock !== undefined) {
    const wanted = filter.inStock ? 1 : 0;
    query = query.where((o) => o(inStock(o, presence), '=', wanted));
  }
  if (after !== undefined)
    query = query.where(sql<boolean>`(o.price_per_hour_e9s, o.id) > (${after.priceE9s}, ${after.id})`);
  return query.orderBy('o.price_per_hour_e9s').orderBy('o.id').limit(filter.limit).execute();
}

/** 1 where a place is free and an agent of the pool is online, else 0. */
function inStock(
  o: ExpressionBuilder<Tables & { o: OfferingsTable }, 'o'>,
  { now, offlineAfterMs }: Presence,
) {
  return sql<number>`(case when o.places_taken < o.places and exists (
    select 1 from agents a where a.pool_id = o.pool_id and a.last_heartbeat_at > ${now - offlineAfterMs}
      and a.revoked_at is null and (a.expires_at is null or a.expires_at > ${now})) then 1 else 0 end)`;
}

export async function insertOffering(trx: Transaction, row: OfferingRow): Promise<void> {
  await trx.insertInto('offerings').values(row).execute();
}

/** Takes an offering of this provider off the list; again is a success. Returns false where there is none. */
export async function retireOffering(
  trx: Transaction,
  id: string,
  provider: string,
  at: number,
): Promise<boolean> {
  const result = await trx
    .updateTable('offerings')
    .set((offering) => ({ retired_at: offering.fn.coalesce('retired_at', sql<number>`${at}`) }))
    .where('id', '=', id)
    .where('provider_pubkey', '=', provider)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Takes a place. Returns false where none is free, or the offering is retired. */
export async function takePlace(trx: Transaction, offeringId: string): Promise<boolean> {
  const result = await trx
    .updateTable('offerings')
    .set((offering) => ({ places_taken: offering('places_taken', '+', 1) }))
    .where('id', '=', offeringId)
    .where('retired_at', 'is', null)
    .whereRef('places_taken', '<', 'places')
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Gives a place back. Once for each place taken: the contract says whether it holds one. */
export async function freePlace(trx: Transaction, offeringId: string): Promise<void> {
  await trx
    .updateTable('offerings')
    .set((offering) => ({ places_taken: offering('places_taken', '-', 1) }))
    .where('id', '=', offeringId)
    .execute();
}
