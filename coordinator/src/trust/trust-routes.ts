/** The calls about how a provider has served, and about what it has to look at. */
import { AppError } from '@dc/shared/errors';
import { closed, PublicKey } from '@dc/shared/wire/schema-parts';
import { Attention, ProviderMetrics, Uptime } from '@dc/shared/wire/trust';
import type { Context } from '../context.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, type Route } from '../http/route.ts';
import { findProvider } from '../offerings/provider-store.ts';
import { viewAttention } from './attention.ts';
import { viewMetrics } from './provider-metrics.ts';
import { viewUptime } from './uptime-view.ts';

const ProviderParams = closed({ pubkey: PublicKey });

export function trustRoutes({ db, config }: Context): Route[] {
  const { offlineAfterMs } = config.agents;
  const assertKnown = async (pubkey: string): Promise<void> => {
    if ((await findProvider(db.read, pubkey)) === null) throw new AppError('PROVIDER_NOT_FOUND');
  };
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey/uptime',
      permission: 'public',
      summary:
        'How the provider’s agents were there in the last 30 days, and what maintenance they announced.',
      schema: { params: ProviderParams, response: Uptime },
      errors: ['PROVIDER_NOT_FOUND'],
      async handle({ params, now }) {
        await assertKnown(params.pubkey);
        return { status: 200, body: await viewUptime(db.read, params.pubkey, { now, offlineAfterMs }) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey/metrics',
      permission: 'public',
      summary:
        'What has become of the provider’s contracts of the last 30 days, and how fast they were delivered.',
      schema: { params: ProviderParams, response: ProviderMetrics },
      errors: ['PROVIDER_NOT_FOUND'],
      async handle({ params, now }) {
        await assertKnown(params.pubkey);
        return { status: 200, body: await viewMetrics(db.read, params.pubkey, now) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey/attention',
      permission: ['provider', 'admin'],
      summary:
        'What the provider has to look at: contracts that do not go on and why, orphans, what nobody serves.',
      schema: { params: ProviderParams, response: Attention },
      errors: ['PERMISSION_DENIED', 'PROVIDER_NOT_FOUND'],
      async handle({ params, principal, now }) {
        const caller = accountOf(principal);
        if (caller.account !== params.pubkey && !caller.isAdmin)
          throw new AppError('PERMISSION_DENIED', 'This is another provider’s.');
        await assertKnown(params.pubkey);
        return { status: 200, body: await viewAttention(db.read, params.pubkey, { now, offlineAfterMs }) };
      },
    }),
  ];
}
