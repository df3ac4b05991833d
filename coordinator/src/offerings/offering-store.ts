/** Offerings in the database: what is for sale, and how many places of it are taken. */
import { sql, type Selectable } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { OfferingsTable } from '../database/tables-spine.ts';
import { stockOf, type Presence, type Stock } from './pool-room.ts';

export type OfferingRow = Selectable<OfferingsTable>;

/** An offering as it is listed. */
export type ListedOffering = OfferingRow & {
  provider_name: string;
  stock: Stock;
  /** What use beyond the rent costs; null where the price is flat. */
  billing_unit: string | null;
  unit_price_e9s: bigint | null;
  included_units: number | null;
};

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

/** The offering, retired or not. */
export async function findOffering(reader: Reader, id: string): Promise<OfferingRow | null> {
  const { rows } = await statement<OfferingRow>`select * from offerings where id = ${id}`.execute(reader);
  return rows[0] ?? null;
}

/** Whether the offering can be rented now, and why not. */
export async function findStock(reader: Reader, id: string, presence: Presence): Promise<Stock> {
  const row = await reader
    .selectFrom('offerings as o')
    .select(stockOf(presence).as('stock'))
    .where('o.id', '=', id)
    .executeTakeFirstOrThrow();
  return row.stock;
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
    .leftJoin('offering_usage as u', 'u.offering_id', 'o.id')
    .selectAll('o')
    .select(['p.name as provider_name', 'u.billing_unit', 'u.unit_price_e9s', 'u.included_units'])
    .select(stockOf(presence).as('stock'))
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
    query = query.where(stockOf(presence), filter.inStock ? '=' : '<>', 'available');
  }
  if (after !== undefined)
    query = query.where(sql<boolean>`(o.price_per_hour_e9s, o.id) > (${after.priceE9s}, ${after.id})`);
  return query.orderBy('o.price_per_hour_e9s').orderBy('o.id').limit(filter.limit).execute();
}

/** How many offerings are in which stock. */
export function countStock(reader: Reader, presence: Presence): Promise<{ stock: Stock; count: number }[]> {
  return reader
    .selectFrom(
      reader
        .selectFrom('offerings as o')
        .select(stockOf(presence).as('stock'))
        .where('o.retired_at', 'is', null)
        .as('s'),
    )
    .select(['s.stock', (expression) => expression.fn.countAll<number>().as('count')])
    .groupBy('s.stock')
    .orderBy('s.stock')
    .execute();
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
