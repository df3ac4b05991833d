/** The calls of agents: registration, heartbeat, the stream of nudges, and leases on work. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import {
  Heartbeat,
  HeartbeatAnswer,
  LeaseWork,
  Leases,
  PendingProvision,
  RegisterAgent,
  Registration,
  RenewedLease,
  RenewLease,
  ReturnWork,
} from '@dc/shared/wire/agent';
import { closed, listOf, ListQuery, PublicKey, toTimestamp, Uuid } from '@dc/shared/wire/schema-parts';
import type { OrderKind } from '@dc/shared/orders/order';
import type { Context } from '../context.ts';
import { findHead } from '../evidence/record-store.ts';
import { agentOf, assertOwnProvider, type Principal } from '../http/principal.ts';

import { readRoute, streamRoute, writeRoute, type Route } from '../http/route.ts';
import { noticeEvidence } from '../safe-mode/notice-evidence.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { viewForAgents } from '../safe-mode/view-safe-mode.ts';
import { listHeldElsewhere, revokeAgent } from './agent-store.ts';
import { streamNudges } from './agent-stream.ts';
import { registerAgent } from './register-agent.ts';
import { takeHeartbeat } from './take-heartbeat.ts';
import { leaseWork, renewLease, returnWork } from './work-service.ts';
import { listLeasable, listPending } from './work-store.ts';

const LEASES_MAX_DEFAULT = 10;
// Twice 10,000 contract ids: a large provider must not go offline by its size.
const HEARTBEAT_BODY_BYTES = 1_048_576;
const OrderParams = closed({ order: Uuid });
const ProviderParams = closed({ pubkey: PublicKey });

export function agentRoutes(context: Context): Route[] {
  return [...identityRoutes(context), revokeRoute(), ...workRoutes(context), ...pendingRoutes(context)];
}

function identityRoutes(context: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/register',
      permission: ['key', 'agent:heartbeat'],
      summary: 'Registers the agent key that signs the request, under a delegation by a setup token.',
      schema: { body: RegisterAgent, response: Registration },
      errors: ['GRANT_INVALID', 'GRANT_EXPIRED', 'GRANT_USED', 'AGENT_KEY_TAKEN', 'KEY_WEAK'],
      idempotency: 'none', // The same delegation again answers the same by itself.
      async handle({ body, principal }, trx) {
        if (principal.kind !== 'key' && principal.kind !== 'agent') throw new AppError('AGENT_KEY_TAKEN');
        return { status: 200, body: await registerAgent(context, trx, principal.publicKey, body) };
      },
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/heartbeat',
      permission: 'agent:heartbeat',
      summary: 'Says that the agent lives, and what it runs; answers what the coordinator knows of it.',
      schema: { body: Heartbeat, response: HeartbeatAnswer },
      errors: ['CAPACITY_INVALID'],
      bodyLimitBytes: HEARTBEAT_BODY_BYTES,
      idempotency: 'none',
      async handle({ body, principal, now }, trx) {
        const agent = agentOf(principal);
        await noticeEvidence(context, trx, agent, body.held);
        await takeHeartbeat(context, trx, agent, body);
        const worker = { agentKey: agent.publicKey, poolId: agent.poolId, now };
        const elsewhere = await listHeldElsewhere(trx, agent, body.in_question ?? []);
        const head = await findHead(trx, agent.publicKey);
        const safeMode = await findSafeMode(trx);
        return {
          status: 200,
          body: {
            server_time: toTimestamp(now),
            next_interval_ms: context.config.agents.heartbeatIntervalMs,
            open_work: safeMode === null ? (await listLeasable(trx, worker, 100)).length : 0,
            records_held: head.seq,
            ...(elsewhere.length === 0 ? {} : { held_elsewhere: elsewhere }),
            key_rotations: context.keys.rotations.length,
            ...(safeMode === null ? {} : { safe_mode: viewForAgents(safeMode) }),
          },
        };
      },
    }),
    streamRoute({
      method: 'GET',
      url: '/api/v1/agents/stream',
      permission: 'agent:fetch_contracts',
      summary: 'Server-sent nudges: `work` means that there is something to lease.',
      schema: { response: Type.String() },
      errors: [],
      produces: 'text/event-stream',
      async handle(input) {
        await streamNudges(context, input, agentOf(input.principal));
      },
    }),
  ];
}

function revokeRoute(): Route {
  return writeRoute({
    method: 'DELETE',
    url: '/api/v1/providers/:pubkey/agents/:agent',
    permission: 'provider',
    summary: 'Revokes an agent’s key at once. Its instances stay, and its records stay readable.',
    schema: { params: closed({ pubkey: PublicKey, agent: PublicKey }), response: Type.Null() },
    errors: ['PERMISSION_DENIED', 'AGENT_NOT_FOUND'],
    successStatus: 204,
    idempotency: 'none',
    async handle({ params, principal, now }, trx) {
      assertOwnProvider(principal, params.pubkey);
      if (!(await revokeAgent(trx, params.agent, params.pubkey, now))) {
        throw new AppError('AGENT_NOT_FOUND');
      }
      return { status: 204, body: null };
    },
  });
}

function workRoutes(context: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/work/lease',
      permission: 'agent:provision',
      summary: 'Leases open work of the agent’s pool, each item with a signed order.',
      schema: { body: LeaseWork, response: Leases },
      errors: [],
      idempotency: 'none', // A lost answer costs one lease time-out; replaying it would hand out an old epoch.
      async handle({ body, principal }, trx) {
        const agent = agentOf(principal);
        await noticeEvidence(context, trx, agent, body.held);
        const leases = await leaseWork(context, trx, agent, body.max ?? LEASES_MAX_DEFAULT);
        return { status: 200, body: { leases } };
      },
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/work/:order/renew',
      permission: 'agent:provision',
      summary: 'Renews a lease while its work runs.',
      schema: { params: OrderParams, body: RenewLease, response: RenewedLease },
      errors: ['ORDER_NOT_FOUND', 'LEASE_STALE'],
      idempotency: 'none',
      async handle({ params, body, principal }, trx) {
        const lease = { workId: params.order, epoch: body.epoch };
        const expiresAt = await renewLease(context, trx, agentOf(principal), lease);
        const ttlMs = context.config.agents.leaseTtlMs;
        return {
          status: 200,
          body: { epoch: body.epoch, expires_at: toTimestamp(expiresAt), ttl_ms: ttlMs },
        };
      },
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/work/:order/return',
      permission: 'agent:provision',
      summary: 'Hands an order back with a reason. Declining is not failing.',
      schema: { params: OrderParams, body: ReturnWork, response: Type.Null() },
      errors: ['ORDER_NOT_FOUND', 'LEASE_STALE'],
      successStatus: 204,
      idempotency: 'none',
      async handle({ params, body, principal }, trx) {
        await returnWork(context, trx, agentOf(principal), { workId: params.order, body });
        return { status: 204, body: null };
      },
    }),
  ];
}

/** What waits, for people and for polling: no call here changes anything. */
function pendingRoutes(context: Context): Route[] {
  const pending = (name: string, kind: OrderKind): Route =>
    readRoute({
      method: 'GET',
      url: `/api/v1/providers/:pubkey/contracts/${name}`,
      permission: ['provider', 'agent:fetch_contracts'],
      summary: `The provider’s contracts with open work of the kind ${kind}.`,
      schema: { params: ProviderParams, query: closed(ListQuery), response: listOf(PendingProvision) },
      errors: ['PERMISSION_DENIED'],
      async handle({ params, query: { limit = 50, cursor: after = '' }, principal }) {
        if (providerOf(principal) !== params.pubkey) {
          throw new AppError('PERMISSION_DENIED', 'This is another provider’s list.');
        }
        const filter = { providerPubkey: params.pubkey, kind, after, limit: limit + 1 };
        const rows = await listPending(context.db.read, filter);
        const page = rows.slice(0, limit);
        const next = rows.length > limit ? (page.at(-1)?.id ?? null) : null;
        const items = page.map((row) => ({
          order_id: row.id,
          contract_id: row.contract_id,
          offering_id: row.offering_id,
          kind,
          since: toTimestamp(row.created_at),
          leased_to: row.state === 'leased' ? row.leased_by : null,
        }));
        return { status: 200, body: { items, next_cursor: next } };
      },
    });
  return [pending('pending-provision', 'provision'), pending('pending-password-reset', 'reset_password')];
}

function providerOf(principal: Principal): string | null {
  if (principal.kind === 'account') return principal.account;
  return principal.kind === 'agent' ? principal.provider : null;
}
