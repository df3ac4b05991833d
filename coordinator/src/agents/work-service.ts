/**
 * Leases on work (invariant I8): each lease raises the contract's epoch, and everything that an agent reports is held
 * against it. Leases are sticky: once an agent got one to provision a contract, only that agent gets another, until
 * it hands the order back knowing that it made nothing. Two agents can thus never both build.
 */
import { AppError } from '@dc/shared/errors';
import {
  ORDER_LIFE_S,
  signOrder,
  type OrderKind,
  type OrderPayload,
  type Tombstone,
} from '@dc/shared/orders/order';
import { isTerminal } from '@dc/shared/state/contract';
import { FIRST_LEASE_MS_MAX, type WireLease, type WireReturnWork } from '@dc/shared/wire/agent';
import { isCredentialKind } from '@dc/shared/wire/contract';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { moveContract } from '../contracts/contract-service.ts';
import { findContract, updateContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import { unableFailure } from '../credentials/reported-change.ts';
import { changeSpec, failChange } from '../credentials/credential-service.ts';
import type { Transaction } from '../database/database.ts';
import { agentName, type AgentPrincipal } from '../http/principal.ts';
import { assertActing, enterSafeMode, type SafeModeCause } from '../safe-mode/safe-mode.ts';
import { untilAgentsHeard } from '../safe-mode/await-agents.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { distrustCapacity } from './agent-capacity.ts';
import { moveReservation } from './reservations.ts';
import { routeOne } from './route-work.ts';
import { predecessorOf } from './successors.ts';
import { readTombstone } from './tombstone.ts';
import {
  findLiveWork,
  findWork,
  listLeasable,
  noteHandBack,
  keepWork,
  updateWork,
  type WorkRow,
} from './work-store.ts';

/** Leases up to `max` items to the agent, each with a freshly signed order. */
export async function leaseWork(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  max: number,
): Promise<WireLease[]> {
  const now = context.clock.now();
  const leases: WireLease[] = [];
  // A database that is behind could order what was done already, or destroy what was paid for since.
  if ((await findSafeMode(trx)) !== null) return leases;
  for (const work of await listLeasable(trx, { agentKey: agent.publicKey, poolId: agent.poolId, now }, max)) {
    const contract = await findContract(trx, work.contract_id);
    if (contract === null) throw new Error(`work ${work.id} has no contract`);
    const isNew = work.kind === 'provision' && work.agent_key === null;
    if (isNew && (await untilAgentsHeard(context, trx, contract, agent.publicKey)) > 0) continue;
    // What it took just now may have been the last room.
    if (isNew && !(await moveReservation(trx, agent.publicKey, contract, now))) continue;
    const tombstone = readTombstone(context, contract, work.tombstone);
    if (work.kind === 'destroy' && tombstone === null) {
      await enterSafeMode(context, trx, forgedOrder(work));
      break;
    }
    leases.push(await leaseOne(context, trx, agent, { work, contract, tombstone, now }));
  }
  return leases;
}

/** Somebody else wrote into the database: what else is in there nobody knows. */
function forgedOrder({ id, contract_id }: WorkRow): SafeModeCause {
  const detail = `The order ${id} would destroy the instance of contract ${contract_id}, which this coordinator has not ended.`;
  return { cause: 'order_forged', detail, agent_key: null, proof: id };
}

async function leaseOne(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  item: { work: WorkRow; contract: ContractRow; tombstone: Tombstone | null; now: number },
): Promise<WireLease> {
  const { work, tombstone, now } = item;
  const epoch = item.contract.epoch + 1;
  // What was said while nobody was there is over.
  const isFirst = work.kind === 'provision' && item.contract.agent_key === null;
  // Whoever takes over destroys, and is not bound: the next agent of the pool may know better.
  const predecessor = await predecessorOf(trx, work, agent.publicKey);
  const agentKey = predecessor?.agent ?? agent.publicKey;
  const bound = { epoch, agent_key: agentKey, ...(isFirst ? { last_error: null } : {}) };
  const contract =
    work.kind === 'provision' && item.contract.state === 'accepted'
      ? await moveContract(context, trx, item.contract, {
          event: 'lease',
          actor: agentName(agent),
          reason: 'An agent took the work.',
          set: bound,
        })
      : await updateContract(trx, item.contract, bound);
  const spec = await composeSpec(trx, contract, work);
  const ttlMs = Math.min(FIRST_LEASE_MS_MAX, context.config.agents.leaseTtlMs);
  const expiresAt = now + ttlMs;
  await updateWork(trx, work.id, {
    state: 'leased',
    leased_by: agent.publicKey,
    agent_key: agentKey,
    epoch,
    lease_expires_at: expiresAt,
  });
  return {
    order_id: work.id,
    order: signedOrder(context, contract, { work, spec, tombstone, predecessor }, agent.publicKey),
    contract_id: contract.id,
    kind: work.kind as OrderKind,
    epoch,
    expires_at: toTimestamp(expiresAt),
    ttl_ms: ttlMs,
  };
}

/** What an order is made of beside its contract. */
interface OrderParts {
  work: WorkRow;
  spec: OrderPayload['spec'];
  tombstone: Tombstone | null;
  predecessor: OrderPayload['predecessor'];
}

function signedOrder(
  context: Context,
  contract: ContractRow,
  { work, spec, tombstone, predecessor }: OrderParts,
  agentKey: string,
): string {
  const { key } = context; // Once: a rotation may begin at any moment.
  const iat = Math.floor(context.clock.now() / 1000);
  const kind = work.kind as OrderKind;
  const order: OrderPayload = {
    iss: key.publicKey,
    aud: agentKey,
    sub: contract.id,
    kind,
    epoch: contract.epoch,
    iat,
    exp: iat + ORDER_LIFE_S,
    jti: work.id,
    environment: context.config.environment,
    ...(spec === undefined ? {} : { spec }),
    ...(tombstone === null ? {} : { tombstone }),
    ...(predecessor === undefined ? {} : { predecessor }),
  };
  return signOrder(order, key);
}

/** What an order is about, where its kind alone does not say it. */
async function composeSpec(
  trx: Transaction,
  contract: ContractRow,
  work: WorkRow,
): Promise<OrderPayload['spec']> {
  if (isCredentialKind(work.kind)) return changeSpec(trx, contract, work.id);
  if (work.kind !== 'provision') return undefined;
  const { offering_id, cpu, memory_mb, disk_gb, operating_system, ssh_public_key } = contract;
  return { offering_id, cpu, memory_mb, disk_gb, operating_system, ssh_public_key };
}

/** The item if this agent holds its lease under `epoch`. Throws ORDER_NOT_FOUND, LEASE_STALE or COORDINATOR_SAFE_MODE. */
async function heldWork(
  trx: Transaction,
  agent: AgentPrincipal,
  workId: string,
  epoch: number,
): Promise<WorkRow> {
  const work = await findWork(trx, workId);
  // A database that is behind does not know the lease: that is no reason to give the work up.
  if (work?.pool_id !== agent.poolId) {
    await assertActing(trx);
    throw new AppError('ORDER_NOT_FOUND');
  }
  if (work.state !== 'leased' || work.leased_by !== agent.publicKey || work.epoch !== epoch) {
    await assertActing(trx);
    throw new AppError('LEASE_STALE', `The lease with epoch ${String(epoch)} is not held any more.`);
  }
  return work;
}

/**
 * Renews a lease. A lease that ran out but that nobody else took is renewed too: stopping its work would help no one.
 */
export async function renewLease(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  lease: { workId: string; epoch: number },
): Promise<number> {
  const work = await heldWork(trx, agent, lease.workId, lease.epoch);
  const expiresAt = context.clock.now() + context.config.agents.leaseTtlMs;
  await keepWork(trx, work.id, expiresAt);
  return expiresAt;
}

/**
 * Takes an order back: declining is not failing. The item goes to another agent of the pool only where this one
 * made nothing; else it stays with it.
 */
export async function returnWork(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  hand: { workId: string; body: WireReturnWork },
): Promise<void> {
  const { body } = hand;
  const now = context.clock.now();
  const work = await heldWork(trx, agent, hand.workId, body.epoch);
  // An agent knows what its own journal knows: a lease that nobody handed back may be another process's with its key.
  const isClean = work.clean_epoch === body.epoch - 1;
  const released = body.nothing_made && isClean && work.kind === 'provision';
  await updateWork(trx, work.id, {
    state: 'open',
    lease_expires_at: null,
    ...(released ? { agent_key: null, clean_epoch: body.epoch } : {}),
    returned: JSON.stringify({ agent: agent.publicKey, at: now, code: body.code, detail: body.detail }),
  });
  const { code, detail } = body;
  const agentKey = agent.publicKey;
  await noteHandBack(trx, { workId: work.id, agentKey, at: now, code, detail });
  if (isCredentialKind(work.kind) && (code === 'unsupported' || code === 'refused')) {
    const contract = await findContract(trx, work.contract_id);
    const failed = { kind: work.kind, failure: unableFailure(detail), actor: agentName(agent) };
    if (contract !== null) await failChange(context, trx, contract, failed);
  }
  if (!released) return;
  if (code === 'capacity') await distrustCapacity(trx, agentKey, now);
  const contract = await findContract(trx, work.contract_id);
  if (contract !== null && !isTerminal(contract.state)) {
    const unbound = await updateContract(trx, contract, { agent_key: null });
    await routeOne(context, trx, { contract: unbound, work });
  }
  await context.signals.emit(trx, 'pool', work.pool_id);
}

/** Ends the item of `kind` that the report is about. */
export async function finishWork(
  trx: Transaction,
  contractId: string,
  kind: OrderKind,
  now: number,
): Promise<void> {
  const work = await findLiveWork(trx, contractId, kind);
  if (work !== null) await updateWork(trx, work.id, { state: 'done', lease_expires_at: null, done_at: now });
}
