/** The calls about offerings: looking for one, and a provider's own. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { closed, listOf, PublicKey, Uuid } from '@dc/shared/wire/schema-parts';
import { CreateOffering, Offering, OfferingQuery, type WireCreateOffering } from '@dc/shared/wire/offering';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { checkOffering } from './offering-rules.ts';
import { insertOffering, listOfferings, retireOffering } from './offering-store.ts';
import { fromCursor, toCursor, viewOffering } from './offering-view.ts';
import { assertOwnProvider } from '../http/principal.ts';
import { insertOfferingUsage } from '../usage/usage-store.ts';
import type { Presence } from './pool-room.ts';
import { ProviderParams } from './provider-routes.ts';
import { findPool, findPoolIn } from './provider-store.ts';

const LIMIT_DEFAULT = 50;

export function offeringRoutes(context: Context): Route[] {
  return [...marketRoutes(context), ...ownRoutes(context)];
}

function marketRoutes({ config, db }: Context): Route[] {
  const { offlineAfterMs } = config.agents;
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/offerings',
      permission: 'public',
      summary: 'What is for sale, cheapest first.',
      schema: { query: OfferingQuery, response: listOf(Offering) },
      errors: [],
      async handle({ query, now }) {
        const { limit = LIMIT_DEFAULT, cursor, max_price_e9s: maxPrice } = query;
        const filter = {
          words: (query.q ?? '').split(/\s+/).filter((word) => word !== ''),
          country: query.country,
          provider: query.provider,
          minCpu: query.min_cpu,
          minMemoryMb: query.min_memory_mb,
          maxPriceE9s: maxPrice === undefined ? undefined : BigInt(maxPrice),
          inStock: query.in_stock,
          after: cursor === undefined ? undefined : fromCursor(cursor),
          // One more than asked for says whether there is a next page.
          limit: limit + 1,
        };
        const rows = await listOfferings(db.read, filter, { now, offlineAfterMs });
        const page = rows.slice(0, limit);
        const last = page.at(-1);
        const next = rows.length > limit && last !== undefined ? toCursor(last) : null;
        return { status: 200, body: { items: page.map(viewOffering), next_cursor: next } };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/offerings/:id',
      permission: 'public',
      summary: 'One offering.',
      schema: { params: closed({ id: Uuid }), response: Offering },
      errors: ['OFFERING_NOT_FOUND'],
      async handle({ params, now }) {
        return { status: 200, body: await viewOne(db.read, params.id, { now, offlineAfterMs }) };
      },
    }),
  ];
}

function ownRoutes(context: Context): Route[] {
  const { offlineAfterMs } = context.config.agents;
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/providers/:pubkey/offerings',
      permission: 'provider',
      summary: 'Offers something for sale, served by the agents of one pool, or of all in one country.',
      schema: { params: ProviderParams, body: CreateOffering, response: Offering },
      errors: ['PERMISSION_DENIED', 'POOL_NOT_FOUND', 'MONEY_RANGE'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ params, body, principal, now }, trx) {
        assertOwnProvider(principal, params.pubkey);
        const id = await createOffering(context, trx, { provider: params.pubkey, wanted: body, now });
        return { status: 201, body: await viewOne(trx, id, { now, offlineAfterMs }) };
      },
    }),
    writeRoute({
      method: 'DELETE',
      url: '/api/v1/providers/:pubkey/offerings/:id',
      permission: 'provider',
      summary: 'Takes an offering off the list. Contracts that exist run on.',
      schema: { params: closed({ pubkey: PublicKey, id: Uuid }), response: Type.Null() },
      errors: ['PERMISSION_DENIED', 'OFFERING_NOT_FOUND'],
      successStatus: 204,
      idempotency: 'none', // Again is a success.
      async handle({ params, principal, now }, trx) {
        assertOwnProvider(principal, params.pubkey);
        if (!(await retireOffering(trx, params.id, params.pubkey, now)))
          throw new AppError('OFFERING_NOT_FOUND');
        return { status: 204, body: null };
      },
    }),
  ];
}

async function viewOne(reader: Reader, id: string, presence: Presence) {
  const [row] = await listOfferings(reader, { words: [], id, limit: 1 }, presence);
  if (row === undefined) throw new AppError('OFFERING_NOT_FOUND');
  return viewOffering(row);
}

async function createOffering(
  { clock, random }: Context,
  trx: Transaction,
  { provider, wanted, now }: { provider: string; wanted: WireCreateOffering; now: number },
): Promise<string> {
  const { pool_id: poolId } = wanted;
  const pool =
    poolId === undefined
      ? await findPoolIn(trx, wanted.country, provider)
      : await findPool(trx, poolId, provider);
  if (pool === null)
    throw new AppError(
      'POOL_NOT_FOUND',
      poolId === undefined ? `This provider has no pool in ${wanted.country}.` : undefined,
    );
  const { perHour, setupFee, usage } = checkOffering(wanted, pool.country);
  const id = newUuid(clock, random);
  await insertOffering(trx, {
    id,
    provider_pubkey: provider,
    pool_id: pool.id,
    title: wanted.title,
    description: wanted.description ?? '',
    cpu: wanted.cpu,
    memory_mb: wanted.memory_mb,
    disk_gb: wanted.disk_gb,
    country: wanted.country,
    operating_systems: JSON.stringify(wanted.operating_systems),
    price_per_hour_e9s: perHour.amountE9s,
    setup_fee_e9s: setupFee.amountE9s,
    currency: perHour.currency,
    min_hours: wanted.min_hours,
    max_hours: wanted.max_hours,
    places: wanted.places,
    places_taken: 0,
    any_pool: poolId === undefined ? 1 : 0,
    retired_at: null,
    created_at: now,
  });
  if (usage !== null)
    await insertOfferingUsage(trx, {
      offering_id: id,
      billing_unit: usage.unit,
      unit_price_e9s: usage.perUnit.amountE9s,
      included_units: usage.includedUnits,
    });
  return id;
}
