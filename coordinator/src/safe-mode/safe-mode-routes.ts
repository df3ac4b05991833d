/** Where agents tell what they were ordered, when the coordinator has to find out what it has forgotten. */
import type { Static } from 'typebox';
import { parseJws, verifyJws } from '@dc/shared/crypto/jws';
import { AppError } from '@dc/shared/errors';
import { ORDER_TYP, type OrderPayload } from '@dc/shared/orders/order';
import { HeldOrders, HeldOrdersAnswer } from '@dc/shared/wire/agent';
import { SafeModeReport } from '@dc/shared/wire/coordinator';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { agentOf } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { findDifferences } from './differences.ts';
import { findSafeMode, listUnknownContracts, noteTold, saveHeldOrder } from './safe-mode-store.ts';

// 500 orders with a specification each.
const BODY_BYTES = 2_097_152;

export function safeModeRoutes(context: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/safe-mode',
      permission: 'admin',
      summary:
        'Whether the coordinator acts on nothing, why, and what agents know that its database does not.',
      schema: { response: SafeModeReport },
      errors: [],
      handle: async () => ({ status: 200, body: await reportSafeMode(context) }),
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/agents/held-orders',
      permission: 'agent:heartbeat',
      summary: 'In a safe mode: the newest order that the agent holds for each of its contracts.',
      schema: { body: HeldOrders, response: HeldOrdersAnswer },
      errors: ['ORDER_REFUSED'],
      bodyLimitBytes: BODY_BYTES,
      idempotency: 'none', // The same orders again change nothing.
      prepare: ({ body, signer }) => body.orders.map((compact) => readOwnOrder(context, compact, signer)),
      async handle({ body, principal, now }, trx, orders) {
        const agent = agentOf(principal);
        if ((await findSafeMode(trx)) !== null) {
          for (const { compact, order } of orders) {
            const { sub: contract_id, kind, epoch } = order;
            const row = { agent_key: agent.publicKey, contract_id, kind, epoch, compact, told_at: now };
            await saveHeldOrder(trx, row);
          }
          if (body.is_last) await noteTold(trx, agent.publicKey, now);
        }
        const unknown_contracts = await listUnknownContracts(trx, agent.publicKey);
        return { status: 200, body: { unknown_contracts } };
      },
    }),
  ];
}

async function reportSafeMode(context: Context): Promise<Static<typeof SafeModeReport>> {
  const found = await findDifferences(context, context.db.read);
  if (found === null) return { safe_mode: null, differences: [], silent_agents: [] };
  const { entered_at, cause, detail, agent_key: agent } = found.safeMode;
  return {
    safe_mode: { since: toTimestamp(entered_at), cause, detail, agent },
    differences: found.lines,
    silent_agents: found.silentAgents,
  };
}

/** An order of ours to this agent. Its time is of no matter: it says what once was. */
function readOwnOrder(
  { keys, config }: Context,
  compact: string,
  agentKey: string | null,
): { compact: string; order: OrderPayload } {
  const jws = parseJws(compact);
  const order = (jws?.payload ?? {}) as Partial<OrderPayload>;
  const isOurs =
    jws !== null &&
    keys.has(jws.kid) &&
    verifyJws(jws, ORDER_TYP) &&
    order.aud === agentKey &&
    order.environment === config.environment;
  if (!isOurs) throw new AppError('ORDER_REFUSED', 'This is no order of this coordinator to this agent.');
  return { compact, order: order as OrderPayload };
}
