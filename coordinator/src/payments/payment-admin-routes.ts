/** What a person must see of payments: disputes, and events that belong to nothing or do not fit. */
import { sql } from 'kysely';
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import {
  closed,
  listOf,
  MoneySchema,
  nullable,
  Timestamp,
  toTimestamp,
  Uuid,
} from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';

const Dispute = closed({
  method: Type.String(),
  id: Type.String({ description: 'The payment provider’s' }),
  contract_id: nullable(Uuid),
  payment: nullable(
    Type.String({ description: 'What the disputed payment was for; null where that is not known' }),
  ),
  status: Type.Enum(['warning', 'open', 'won', 'lost']),
  funds: Type.Enum(['none', 'withdrawn', 'reinstated']),
  amount: MoneySchema,
  reason: Type.String(),
  evidence_due_at: nullable(Timestamp),
  created_at: Timestamp,
  closed_at: nullable(Timestamp),
  remedy: Type.String(),
});
const KeptEvent = closed({
  method: Type.String(),
  id: Type.String(),
  type: Type.String(),
  outcome: Type.Enum(['unknown', 'mismatch']),
  detail: nullable(Type.String()),
  payment: nullable(Type.String()),
  received_at: Timestamp,
  remedy: Type.String(),
});

const REMEDIES = {
  warning: 'Look at the rental: refund it if it looks like fraud, or resume it.',
  open: 'Hand in evidence in the provider’s dashboard before it is due. The rental waits; its money is held.',
  won: 'Nothing.',
  lost: 'Nothing: the contract has ended, and the loss is booked.',
  orphan: 'Find the payment in the provider’s dashboard: no payment of ours has these names.',
  unknown:
    'If it is from another program that uses the same account, dismiss it. Else find it in the provider’s dashboard.',
  mismatch: 'Refund it in the provider’s dashboard, or agree with the payer; then dismiss it.',
} as const;

const LISTED = 200;

/** The routes. */
export function paymentAdminRoutes(context: Context): Route[] {
  return [disputesRoute(context), ...eventRoutes(context)];
}

function disputesRoute({ db }: Context): Route {
  return readRoute({
    method: 'GET',
    url: '/api/v1/admin/disputes',
    permission: 'admin',
    summary: 'Disputes and early warnings: the open ones first, then the newest.',
    schema: { response: listOf(Dispute) },
    errors: [],
    async handle() {
      const rows = await db.read
        .selectFrom('disputes')
        .selectAll()
        .orderBy((eb) => eb('closed_at', 'is not', null))
        .orderBy('created_at', 'desc')
        .limit(LISTED)
        .execute();
      const items = rows.map((row) => ({
        ...{ method: row.method, id: row.id, contract_id: row.contract_id, payment: row.payment_key },
        status: row.status as 'open',
        funds: row.funds as 'none',
        amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
        reason: row.reason,
        evidence_due_at: row.evidence_due_at === null ? null : toTimestamp(row.evidence_due_at),
        created_at: toTimestamp(row.created_at),
        closed_at: row.closed_at === null ? null : toTimestamp(row.closed_at),
        remedy: row.payment_key === null ? REMEDIES.orphan : REMEDIES[row.status as 'open'],
      }));
      return { status: 200, body: { items, next_cursor: null } };
    },
  });
}

function eventRoutes({ db, clock }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/payment-events',
      permission: 'admin',
      summary:
        'Events of payment providers that belong to no payment of ours, or do not fit it; oldest first.',
      schema: { response: listOf(KeptEvent) },
      errors: [],
      async handle() {
        const rows = await db.read
          .selectFrom('provider_events')
          .selectAll()
          .where('outcome', 'in', [sql.lit('unknown'), sql.lit('mismatch')])
          .where('settled_at', 'is', null)
          .orderBy('received_at')
          .limit(LISTED)
          .execute();
        const items = rows.map((row) => ({
          ...{ method: row.method, id: row.event_id, type: row.type, detail: row.detail },
          outcome: row.outcome as 'unknown',
          payment: row.payment_key,
          received_at: toTimestamp(row.received_at),
          remedy: REMEDIES[row.outcome as 'unknown'],
        }));
        return { status: 200, body: { items, next_cursor: null } };
      },
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
