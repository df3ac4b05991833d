/** The calls of admins about what providers are owed and paid. */
import { AppError } from '@dc/shared/errors';
import {
  CreatePayout,
  FailedPayout,
  PaymentRelease,
  Payout,
  PayoutsQuery,
  SentPayout,
  type WirePayout,
} from '@dc/shared/wire/money';
import { closed, listOf, ListQuery, toTimestamp, Uuid } from '@dc/shared/wire/schema-parts';
import { toWire } from '@dc/shared/money/money';
import type { Transaction } from '../database/database.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { isAutomatic } from './payout-route.ts';
import { movePayout, type PayoutStep } from './payout-service.ts';
import { requestAnyPayout, type PayoutParts } from './payout-transfer.ts';
import { findPayout, listOwed, listPayouts, type PayoutRow } from './payout-store.ts';

const PayoutParams = closed({ id: Uuid });
const DEFAULT_LIMIT = 50;

export function payoutRoutes(parts: PayoutParts): Route[] {
  return [...listRoutes(parts), requestRoute(parts), ...changeRoutes(parts)];
}

function listRoutes({ context: { db } }: PayoutParts): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/payment-releases',
      permission: 'admin',
      summary: 'What providers have earned and no payout has, by provider and currency.',
      schema: { query: closed(ListQuery), response: listOf(PaymentRelease) },
      errors: ['REQUEST_INVALID'],
      async handle({ query }) {
        const limit = query.limit ?? DEFAULT_LIMIT;
        const owed = await listOwed(db.read, { after: readOwedCursor(query.cursor), limit: limit + 1 });
        const page = owed.slice(0, limit);
        const last = page.at(-1);
        return {
          status: 200,
          body: {
            items: page.map((row) => ({
              provider_pubkey: row.provider_pubkey,
              total: toWire({ amountE9s: row.total_e9s, currency: row.currency }),
              release_count: row.release_count,
              through: row.through,
              oldest_at: toTimestamp(row.oldest_at),
              newest_at: toTimestamp(row.newest_at),
            })),
            next_cursor:
              owed.length > limit && last !== undefined ? `${last.provider_pubkey}-${last.currency}` : null,
          },
        };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/payouts',
      permission: 'admin',
      summary: 'Payouts, newest first.',
      schema: { query: PayoutsQuery, response: listOf(Payout) },
      errors: [],
      async handle({ query }) {
        const limit = query.limit ?? DEFAULT_LIMIT;
        const rows = await listPayouts(db.read, {
          state: query.state,
          provider: query.provider_pubkey,
          before: query.cursor,
          limit: limit + 1,
        });
        const page = rows.slice(0, limit);
        const next = rows.length > limit ? (page.at(-1)?.id ?? null) : null;
        return { status: 200, body: { items: page.map(viewPayout), next_cursor: next } };
      },
    }),
  ];
}

function requestRoute(parts: PayoutParts): Route {
  return writeRoute({
    method: 'POST',
    url: '/api/v1/admin/payouts',
    permission: 'admin',
    summary:
      'Pays a provider exactly what was listed, once: by hand, or by a route that sends it. With a reference: it has been sent already.',
    schema: { body: CreatePayout, response: Payout },
    errors: [
      ...(['PAYOUT_CONFLICT', 'PAYOUT_DESTINATION_MISSING', 'PAYOUT_ROUTE_UNAVAILABLE'] as const),
      ...(['PAYMENT_AMOUNT_UNSUPPORTED', 'TOKEN_RATE_STALE', 'REQUEST_INVALID'] as const),
    ],
    successStatus: 201,
    // What is paid is named in the body: a second call finds it paid.
    idempotency: 'optional',
    async handle({ body, principal }, trx) {
      const row = await requestAnyPayout(parts, trx, body, accountOf(principal).account);
      return { status: 201, body: viewPayout(row) };
    },
  });
}

function changeRoutes({ context }: PayoutParts): Route[] {
  // One that is sent by itself also moves by itself: a person cannot be certain of what is on its way.
  const moveByHand = async (trx: Transaction, id: string, step: PayoutStep): Promise<PayoutRow> => {
    const row = await findPayout(trx, id);
    if (row !== null && isAutomatic(row.route))
      throw new AppError('PAYOUT_STATE', `The payout is sent by ${row.route}, and moves by itself.`);
    return movePayout(context, trx, id, step);
  };
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/admin/payouts/:id/sent',
      permission: 'admin',
      summary: 'Says that a payout was sent, and under which reference.',
      schema: { params: PayoutParams, body: SentPayout, response: Payout },
      errors: ['PAYOUT_NOT_FOUND', 'PAYOUT_STATE'],
      idempotency: 'optional',
      async handle({ params, body }, trx) {
        const row = await moveByHand(trx, params.id, { to: 'sent', reference: body.reference });
        return { status: 200, body: viewPayout(row) };
      },
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/admin/payouts/:id/confirm',
      permission: 'admin',
      summary: 'Says that a payout has arrived.',
      schema: { params: PayoutParams, body: closed({}), response: Payout },
      errors: ['PAYOUT_NOT_FOUND', 'PAYOUT_STATE'],
      idempotency: 'optional',
      async handle({ params }, trx) {
        return {
          status: 200,
          body: viewPayout(await moveByHand(trx, params.id, { to: 'confirmed' })),
        };
      },
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/admin/payouts/:id/fail',
      permission: 'admin',
      summary: 'Says that a payout certainly moved no money: what it paid for is owed again.',
      schema: { params: PayoutParams, body: FailedPayout, response: Payout },
      errors: ['PAYOUT_NOT_FOUND', 'PAYOUT_STATE'],
      idempotency: 'optional',
      async handle({ params, body }, trx) {
        const row = await moveByHand(trx, params.id, { to: 'failed', reason: body.reason });
        return { status: 200, body: viewPayout(row) };
      },
    }),
  ];
}

function readOwedCursor(cursor = ''): { provider: string; currency: string } {
  if (cursor === '') return { provider: '', currency: '' };
  const [, provider, currency] = /^([0-9a-f]{64})-([A-Z][A-Z0-9]{2,9})$/.exec(cursor) ?? [];
  if (provider === undefined || currency === undefined)
    throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list.', {
      fields: [{ pointer: '/query/cursor', detail: 'must be the next_cursor of the page before' }],
    });
  return { provider, currency };
}

function viewPayout(row: PayoutRow): WirePayout {
  const time = (ms: number | null): string | null => (ms === null ? null : toTimestamp(ms));
  const { id, key, provider_pubkey, release_count, route, state } = row;
  const { destination, reference, failure, requested_by } = row;
  return {
    ...{ id, key, provider_pubkey, release_count, route, state },
    ...{ destination, reference, failure, requested_by },
    amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
    requested_at: toTimestamp(row.requested_at),
    sent_at: time(row.sent_at),
    settled_at: time(row.settled_at),
  };
}
