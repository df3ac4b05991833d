/** The calls of admins about refunds: those that wait, deciding them, and the audit of what was asked of providers. */
import { toWire } from '@dc/shared/money/money';
import {
  ApproveRefund,
  DeclineRefund,
  RefundCall,
  RefundCallsQuery,
  RefundRequest,
  RefundRequestsQuery,
} from '@dc/shared/wire/payment-admin';
import { closed, listOf, toTimestamp, Uuid } from '@dc/shared/wire/schema-parts';
import type { Static } from 'typebox';
import type { Context } from '../context.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { decideRefund } from './decide-refund.ts';
import { listRefundCalls } from './refund-calls.ts';
import { listRequests } from './refund-gate-store.ts';
import { viewRequest } from './refund-gate-view.ts';

const BASE = '/api/v1/admin/refund-requests';
const DEFAULT_LIMIT = 50;

export function refundGateRoutes(context: Context): Route[] {
  return [listRoute(context), callsRoute(context), approveRoute(context), declineRoute(context)];
}

function listRoute({ db }: Context): Route {
  return readRoute({
    method: 'GET',
    url: BASE,
    permission: 'admin',
    summary: 'Refunds above the bound, which leave only when an admin approves them, and what was decided.',
    schema: { query: RefundRequestsQuery, response: listOf(RefundRequest) },
    errors: [],
    async handle({ query: { status, cursor, limit = DEFAULT_LIMIT } }) {
      const rows = await listRequests(db.read, { state: status, cursor, limit: limit + 1 });
      const page = rows.slice(0, limit);
      const next = rows.length > limit ? (page.at(-1)?.id ?? null) : null;
      return { status: 200, body: { items: page.map(viewRequest), next_cursor: next } };
    },
  });
}

function callsRoute({ db }: Context): Route {
  return readRoute({
    method: 'GET',
    url: '/api/v1/admin/refund-calls',
    permission: 'admin',
    summary: 'Each call of a payment provider for a refund, written down before it was made; newest first.',
    schema: { query: RefundCallsQuery, response: listOf(RefundCall) },
    errors: [],
    async handle({ query: { contract_id: contractId, cursor, limit = DEFAULT_LIMIT } }) {
      const rows = await listRefundCalls(db.read, { contractId, cursor, limit: limit + 1 });
      const page = rows.slice(0, limit);
      const items = page.map((row): Static<typeof RefundCall> => {
        const { id, contract_id, method, external_id, detail } = row;
        return {
          ...{ id, contract_id, method, external_id, detail },
          refund: row.refund_key,
          key: row.call_key,
          amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
          asked_at: toTimestamp(row.asked_at),
          answered_at: row.answered_at === null ? null : toTimestamp(row.answered_at),
          outcome: row.outcome as Static<typeof RefundCall>['outcome'],
        };
      });
      const next = rows.length > limit ? (page.at(-1)?.id ?? null) : null;
      return { status: 200, body: { items, next_cursor: next } };
    },
  });
}

function approveRoute(context: Context): Route {
  return writeRoute({
    method: 'POST',
    url: `${BASE}/:id/approve`,
    permission: 'admin',
    summary: 'Sends the refund back the way its money came.',
    schema: { params: closed({ id: Uuid }), body: ApproveRefund, response: RefundRequest },
    errors: ['REFUND_NOT_FOUND', 'REFUND_STATE', 'COORDINATOR_SAFE_MODE'],
    idempotency: 'optional',
    async handle({ params, body, principal }, trx) {
      const by = accountOf(principal).account;
      const decision = { decision: 'approved' as const, by, reason: body.reason ?? null };
      return { status: 200, body: viewRequest(await decideRefund(context, trx, params.id, decision)) };
    },
  });
}

function declineRoute(context: Context): Route {
  return writeRoute({
    method: 'POST',
    url: `${BASE}/:id/decline`,
    permission: 'admin',
    summary: 'Puts the money into the renter’s wallet instead; the renter reads why.',
    schema: { params: closed({ id: Uuid }), body: DeclineRefund, response: RefundRequest },
    errors: ['PAYMENT_PROVIDER_UNAVAILABLE', 'REFUND_NOT_FOUND', 'REFUND_STATE', 'COORDINATOR_SAFE_MODE'],
    idempotency: 'optional',
    async handle({ params, body, principal }, trx) {
      const by = accountOf(principal).account;
      const decision = { decision: 'declined' as const, by, reason: body.reason };
      return { status: 200, body: viewRequest(await decideRefund(context, trx, params.id, decision)) };
    },
  });
}
