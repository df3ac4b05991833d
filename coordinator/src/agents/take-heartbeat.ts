/** Takes an agent's heartbeat in, and does what follows from it: what may be sold, who is asked again, who is told. */
import { sql } from 'kysely';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { AppError } from '@dc/shared/errors';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { AgentPrincipal } from '../http/principal.ts';
import { saveCapacity } from './agent-capacity.ts';
import { findKnownAgent, saveHeartbeat } from './agent-store.ts';
import { rerouteUnserved } from './route-work.ts';
import { forgetPauses } from './work-store.ts';

/** Throws CAPACITY_INVALID; then nothing of the heartbeat is kept. */
export async function takeHeartbeat(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  body: WireHeartbeat,
): Promise<void> {
  const { clock, config } = context;
  const { publicKey, poolId } = agent;
  const now = clock.now();
  const before = await findKnownAgent(trx, publicKey);
  if (before === null) throw new AppError('AGENT_NOT_FOUND');
  const { offlineAfterMs } = config.agents;
  const changes = await saveHeartbeat(trx, before, { at: now, body, offlineAfterMs });
  const { environment } = config;
  const hasMoreRoom = await saveCapacity(trx, { agentKey: publicKey, environment, now }, body);
  const goneReasons = [
    ...(hasMoreRoom ? ['capacity'] : []),
    ...(changes.isHealthyAgain ? ['backend_unavailable'] : []),
    ...(changes.isBack ? ['maintenance'] : []),
  ];
  if (goneReasons.length > 0) await forgetPauses(trx, publicKey, goneReasons, now);
  if (changes.hasAnnounced) await tellRenters(context, trx, publicKey);
  const takesNone = body.draining === true || body.maintenance_until !== undefined || body.healthy === false;
  if (takesNone) await rerouteUnserved(context, trx, poolId);
}

/** Those who look at a contract of this agent see the announcement at once. */
async function tellRenters({ signals }: Context, trx: Transaction, agentKey: string): Promise<void> {
  const contracts = await trx
    .selectFrom('contracts')
    .select('id')
    .where('agent_key', '=', agentKey)
    .where('place_held', '=', sql.lit(1))
    .execute();
  for (const { id } of contracts) await signals.emit(trx, 'contract', id);
}
