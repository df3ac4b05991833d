/** What a person must see of payments: disputes, and events that belong to nothing or do not fit. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { Dispute, KeptEvent } from '@dc/shared/wire/payment-admin';
import { closed, listOf } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { listDisputes, listKeptEvents } from './payment-admin-view.ts';

/** The routes. */
export function paymentAdminRoutes({ db, clock }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/disputes',
      permission: 'admin',
      summary: 'Disputes and early warnings: the open ones first, then the newest.',
      schema: { response: listOf(Dispute) },
      errors: [],
      handle: async () => ({ status: 200, body: { items: await listDisputes(db.read), next_cursor: null } }),
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/payment-events',
      permission: 'admin',
      summary:
        'Events of payment providers that belong to no payment of ours, or do not fit it; oldest first.',
      schema: { response: listOf(KeptEvent) },
      errors: [],
      handle: async () => ({
        status: 200,
        body: { items: await listKeptEvents(db.read), next_cursor: null },
      }),
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/admin/payment-events/:method/:id/dismiss',
      permission: 'admin',
      summary: 'Says that a person has seen to such an event.',
      schema: {
        params: closed({ method: Type.String({ maxLength: 32 }), id: Type.String({ maxLength: 200 }) }),
        body: closed({}),
        response: closed({ dismissed: Type.Boolean() }),
      },
      errors: ['PAYMENT_NOT_FOUND'],
      idempotency: 'optional',
      async handle({ params }, trx) {
        const { numUpdatedRows } = await trx
          .updateTable('provider_events')
          .set({ settled_at: clock.now() })
          .where('method', '=', params.method)
          .where('event_id', '=', params.id)
          .where('outcome', 'in', ['unknown', 'mismatch'])
          .executeTakeFirstOrThrow();
        if (numUpdatedRows === 0n)
          throw new AppError('PAYMENT_NOT_FOUND', 'There is no such event to see to.');
        return { status: 200, body: { dismissed: true } };
      },
    }),
  ];
}
