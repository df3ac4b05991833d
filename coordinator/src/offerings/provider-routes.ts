/** The calls about providers, their pools and their setup tokens. A provider acts only for itself. */
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { closed, listOf, ListQuery, PublicKey } from '@dc/shared/wire/schema-parts';
import { CreateGrant, CreatePool, CreateProvider, Grant, Pool, Provider } from '@dc/shared/wire/offering';
import type { Context } from '../context.ts';
import { accountOf, assertOwnProvider } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { takeGrant } from './grant-service.ts';
import { findGrant, findProvider, insertPool, insertProvider, listPools } from './provider-store.ts';
import { viewGrant, viewPool, viewProvider } from './provider-view.ts';

export const ProviderParams = closed({ pubkey: PublicKey });

export function providerRoutes(context: Context): Route[] {
  return [...identityRoutes(context), ...poolRoutes(context), ...grantRoutes(context)];
}

function identityRoutes(context: Context): Route[] {
  const { config, db } = context;
  const { offlineAfterMs } = config.agents;
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/providers',
      permission: 'account',
      summary: 'Makes the caller a provider.',
      schema: { body: CreateProvider, response: Provider },
      errors: ['PROVIDER_EXISTS'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ body, principal, now }, trx) {
        const row = {
          pubkey: accountOf(principal).account,
          name: body.name,
          auto_accept: body.auto_accept === false ? 0 : 1,
          created_at: now,
        };
        if (!(await insertProvider(trx, row))) throw new AppError('PROVIDER_EXISTS');
        return { status: 201, body: await viewProvider(trx, row, { now, offlineAfterMs }) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey',
      permission: 'public',
      summary: 'The provider, its agents, and whether their evidence has gaps or forks.',
      schema: { params: ProviderParams, response: Provider },
      errors: ['PROVIDER_NOT_FOUND'],
      async handle({ params, now }) {
        const row = await findProvider(db.read, params.pubkey);
        if (row === null) throw new AppError('PROVIDER_NOT_FOUND');
        return { status: 200, body: await viewProvider(db.read, row, { now, offlineAfterMs }) };
      },
    }),
  ];
}

function poolRoutes({ clock, random, db }: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/providers/:pubkey/pools',
      permission: 'provider',
      summary: 'Makes a pool: the provider’s agents in one location.',
      schema: { params: ProviderParams, body: CreatePool, response: Pool },
      errors: ['PERMISSION_DENIED'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ params, body, principal, now }, trx) {
        assertOwnProvider(principal, params.pubkey);
        const row = {
          id: newUuid(clock, random),
          provider_pubkey: params.pubkey,
          name: body.name,
          country: body.country,
          created_at: now,
        };
        await insertPool(trx, row);
        return { status: 201, body: viewPool(row) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey/pools',
      permission: 'public',
      summary: 'The provider’s pools, oldest first.',
      schema: { params: ProviderParams, query: closed(ListQuery), response: listOf(Pool) },
      errors: ['PROVIDER_NOT_FOUND'],
      async handle({ params, query }) {
        if ((await findProvider(db.read, params.pubkey)) === null) throw new AppError('PROVIDER_NOT_FOUND');
        const limit = query.limit ?? 50;
        const rows = await listPools(db.read, params.pubkey, { after: query.cursor ?? '', limit: limit + 1 });
        const page = rows.slice(0, limit);
        const next = rows.length > limit ? (page.at(-1)?.id ?? null) : null;
        return { status: 200, body: { items: page.map(viewPool), next_cursor: next } };
      },
    }),
  ];
}

function grantRoutes({ keys, db }: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/providers/:pubkey/setup-grants',
      permission: 'provider',
      summary:
        'Takes in the grant of a setup token, signed by the provider’s key. The token stays with the provider.',
      schema: { params: ProviderParams, body: CreateGrant, response: Grant },
      errors: ['PERMISSION_DENIED', 'GRANT_INVALID', 'GRANT_EXPIRED', 'GRANT_USED', 'POOL_NOT_FOUND'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ params, body, principal, now }, trx) {
        assertOwnProvider(principal, params.pubkey);
        const receipt = { provider: params.pubkey, keys, now };
        return { status: 201, body: viewGrant(await takeGrant(trx, body.grant, receipt)) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/setup-grants/:setup_key',
      permission: 'public',
      summary: 'The grant of a setup token, for the machine that holds the token.',
      schema: { params: closed({ setup_key: PublicKey }), response: Grant },
      errors: ['GRANT_NOT_FOUND'],
      async handle({ params }) {
        const row = await findGrant(db.read, params.setup_key);
        if (row === null) throw new AppError('GRANT_NOT_FOUND');
        return { status: 200, body: viewGrant(row) };
      },
    }),
  ];
}
