/**
 * Which agent is to take a paid order: chosen with the sale, and again when that one cannot. Where nobody can, the
 * contract ends at once with its money back, and renter, provider and administrator are told.
 */
import { RETURN_CODES, type WireReturnWork } from '@dc/shared/wire/agent';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { deadlineOf, undelivered } from '../contracts/contract-deadlines.ts';
import { moveContract, touchContract } from '../contracts/contract-service.ts';
import { findContract, updateContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { chooseAgent, type Presence } from '../offerings/pool-room.ts';
import { untilAgentsHeard } from '../safe-mode/await-agents.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { findKnownAgent } from './agent-store.ts';
import { findReservation, moveReservation } from './reservations.ts';
import { findHandBack, listUnbound, listWaiting, updateWork, type WorkRow } from './work-store.ts';

/** Handed back for these, an order will not be taken by the same agent soon. The backend may answer again any moment. */
const UNABLE: readonly WireReturnWork['code'][] = ['capacity', 'unsupported', 'maintenance', 'refused'];

// In one write; the next heartbeat or turn of the job goes on.
const BATCH_MAX = 100;

/** An order to provision that no agent is bound to. */
export interface Unbound {
  contract: ContractRow;
  work: WorkRow;
}

/** Finds another agent for what the pool's agents will not take now, and ends what nobody will. */
export async function rerouteUnserved(context: Context, trx: Transaction, poolId: string): Promise<void> {
  if ((await findSafeMode(trx)) !== null) return;
  for (const work of await listUnbound(trx, poolId, BATCH_MAX)) {
    const contract = await findContract(trx, work.contract_id);
    if (contract !== null) await routeOne(context, trx, { contract, work });
  }
}

/**
 * The same for orders whose agent is not heard of any more. It may come back before their deadline, so none ends here.
 */
export async function rerouteWaiting(context: Context): Promise<void> {
  const presence = presenceOf(context);
  if ((await listWaiting(context.db.read, presence, 1)).length === 0) return;
  await context.db.write(async (trx) => {
    for (const work of await listWaiting(trx, presence, BATCH_MAX)) {
      const contract = await findContract(trx, work.contract_id);
      if (contract === null || (await findAnother(context, trx, { contract, work }, []))) continue;
      await sayWaiting(context, trx, contract);
    }
  });
}

/** Routes one order anew where its agent cannot serve it now, and ends the contract where nobody can. */
export async function routeOne(context: Context, trx: Transaction, unbound: Unbound): Promise<void> {
  const { contract, work } = unbound;
  const presence = presenceOf(context);
  const agentKey = (await findReservation(trx, contract.id))?.agent_key ?? null;
  const agent = agentKey === null ? null : await findKnownAgent(trx, agentKey);
  const handedBack = agentKey === null ? null : await findHandBack(trx, work.id, agentKey);
  const isOnline =
    agent !== null &&
    agent.revoked_at === null &&
    (agent.last_heartbeat_at ?? 0) > presence.now - presence.offlineAfterMs;
  const isInMaintenance = (agent?.maintenance_until_at ?? 0) > presence.now;
  const takesNew = isOnline && agent.draining === 0 && !isInMaintenance;
  const wasAsked = handedBack !== null && handedBack.at >= work.created_at;
  if (takesNew && agent.healthy === 1 && !wasAsked) return;
  if (await findAnother(context, trx, unbound, RETURN_CODES)) return;
  // Its backend may answer again any moment.
  if (takesNew && !(wasAsked && UNABLE.some((code) => code === handedBack.code))) return;
  if (await findAnother(context, trx, unbound, UNABLE)) return;
  // An agent that has not spoken since the start may have built it: then the deadline decides.
  if ((await untilAgentsHeard(context, trx, contract)) > 0) return;
  await endUnserved(context, trx, unbound);
}

/** Moves the reservation, and with it the order, to an agent that has not handed it back for one of these reasons. */
async function findAnother(
  context: Context,
  trx: Transaction,
  { contract, work }: Unbound,
  codes: readonly string[],
): Promise<boolean> {
  const presence = presenceOf(context);
  const since = presence.now - context.config.contracts.acceptTimeoutMs;
  const besides = codes.length === 0 ? null : { workId: work.id, codes, since };
  const choice = await chooseAgent(trx, contract.offering_id, presence, besides);
  if (choice === null || !(await moveReservation(trx, choice.agentKey, contract, presence.now))) return false;
  if (choice.poolId !== work.pool_id) {
    await updateWork(trx, work.id, { pool_id: choice.poolId });
    await updateContract(trx, contract, { pool_id: choice.poolId });
  }
  await context.signals.emit(trx, 'pool', choice.poolId);
  return true;
}

/** Tells the renter at once, and the operator by the log; once for each time that nobody is there. */
async function sayWaiting(context: Context, trx: Transaction, contract: ContractRow): Promise<void> {
  if (contract.last_error !== null) return;
  const deadline = deadlineOf(contract, context.config.contracts);
  const by = deadline === null ? '' : ` by ${toTimestamp(deadline.at)}`;
  const waiting = {
    code: 'OFFERING_UNSERVED',
    detail: 'No agent of the provider answers now.',
    remedy: `Nothing to do: it goes on when one is back. If none takes it${by}, you get all of your money back.`,
  };
  await touchContract(context, trx, contract, { last_error: JSON.stringify(waiting) });
  const { id, provider_pubkey: provider } = contract;
  trx.afterCommit(() => context.log.warn({ contract: id, provider }, 'contract.waiting'));
}

async function endUnserved(context: Context, trx: Transaction, { contract, work }: Unbound): Promise<void> {
  const reason = 'No agent of the provider can serve it now.';
  await moveContract(context, trx, contract, {
    event: contract.state === 'accepted' ? 'reject' : 'fail',
    actor: 'system',
    reason,
    set: undelivered('OFFERING_UNSERVED', reason),
  });
  trx.afterCommit(() => context.log.warn({ contract: contract.id, pool: work.pool_id }, 'contract.unserved'));
}

const presenceOf = ({ clock, config }: Context): Presence => ({
  now: clock.now(),
  offlineAfterMs: config.agents.offlineAfterMs,
});
