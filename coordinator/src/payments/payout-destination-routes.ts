/** The calls about where a provider wants its money. */
import { AppError } from '@dc/shared/errors';
import {
  CreatePayoutDestination,
  PayoutDestination,
  type WirePayoutDestination,
} from '@dc/shared/wire/payout';
import { closed, PublicKey, toTimestamp } from '@dc/shared/wire/schema-parts';
import { Type } from 'typebox';
import { accountOf, assertOwnProvider } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { listDestinations, setDestination, type DestinationRow } from './payout-destinations.ts';
import type { PayoutParts } from './payout-transfer.ts';

const Params = closed({ pubkey: PublicKey });
const URL = '/api/v1/providers/:pubkey/payout-destinations';

export function payoutDestinationRoutes({ context, routes }: PayoutParts): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: URL,
      permission: 'provider',
      summary:
        'Sets where payouts go by a route, from the end of a cooling time on. Must be signed by a key.',
      schema: { params: Params, body: CreatePayoutDestination, response: PayoutDestination },
      errors: ['PERMISSION_DENIED', 'PAYOUT_ROUTE_UNAVAILABLE', 'REQUEST_INVALID'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ params, body, principal, now }, trx) {
        assertOwnProvider(principal, params.pubkey);
        // Who finds a browser open must not be able to lead the money away.
        if (accountOf(principal).publicKey === null)
          throw new AppError(
            'PERMISSION_DENIED',
            'This must be signed by the provider’s key; a session is not enough.',
          );
        const route = routes.get(body.route);
        if (route === undefined)
          throw new AppError('PAYOUT_ROUTE_UNAVAILABLE', `The route ${body.route} is not configured.`);
        route.assertAccount(body.account);
        const row = await setDestination(context, trx, { provider: params.pubkey, ...body });
        return { status: 201, body: view(row, now, []) };
      },
    }),
    readRoute({
      method: 'GET',
      url: URL,
      permission: ['provider', 'admin'],
      summary: 'Every destination that the provider has set, newest first, and which of them counts.',
      schema: { params: Params, response: closed({ items: Type.Array(PayoutDestination) }) },
      errors: ['PERMISSION_DENIED'],
      async handle({ params, principal, now }) {
        if (!accountOf(principal).isAdmin) assertOwnProvider(principal, params.pubkey);
        const rows = await listDestinations(context.db.read, params.pubkey);
        return {
          status: 200,
          body: { items: rows.map((row, index) => view(row, now, rows.slice(0, index))) },
        };
      },
    }),
  ];
}

function view(row: DestinationRow, now: number, newer: readonly DestinationRow[]): WirePayoutDestination {
  const counts = ({ usable_at: at, withdrawn_at: withdrawnAt }: DestinationRow): boolean =>
    at <= now && withdrawnAt === null;
  const isReplaced = newer.some((other) => other.route === row.route && counts(other));
  const state = counts(row) ? (isReplaced ? 'replaced' : 'in_force') : 'cooling';
  return {
    ...{ id: row.id, route: row.route, account: row.account },
    state: row.withdrawn_at === null ? state : 'withdrawn',
    set_at: toTimestamp(row.set_at),
    usable_at: toTimestamp(row.usable_at),
  };
}
