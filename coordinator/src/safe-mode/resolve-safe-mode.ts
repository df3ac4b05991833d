/**
 * Ends a safe mode: brings the database to what agents can prove, in one transaction. Epochs rise above everything
 * that was ordered, what agents reported meanwhile is acted upon in its order, contracts that were ended are ended as
 * of then, and what is not known stays as it is.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { verifyRecord, type RecordPayload } from '@dc/shared/evidence/record';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { CONTRACT_EVENTS, isTerminal, nextContractState } from '@dc/shared/state/contract';
import { findAgent, type AgentRow } from '../agents/agent-store.ts';
import { sealTombstone } from '../agents/tombstone.ts';
import { openWork, updateWork } from '../agents/work-store.ts';
import type { Context } from '../context.ts';
import { moveContract } from '../contracts/contract-service.ts';
import { findContract, updateContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Transaction } from '../database/database.ts';
import { applyRecord } from '../evidence/apply-record.ts';
import type { AgentPrincipal } from '../http/principal.ts';
import { askAboutAll } from '../payments/payment-store.ts';
import { findDifferences, listForgedWork, tombstoneOf } from './differences.ts';
import { acceptMark } from './mark.ts';
import {
  endSafeMode,
  listHeldBack,
  listHeldOrders,
  settleRecord,
  type HeldOrderRow,
} from './safe-mode-store.ts';

/** What was done. */
export interface Resolution {
  withdrawn: number;
  ended: number;
  raised: number;
  applied: number;
  /** Records that fit nothing any more: kept as evidence. */
  unapplied: number;
  /** Contracts that agents hold and that stay unknown. */
  unknown: string[];
}

/**
 * Resolves the safe mode; null where there is none. Throws COORDINATOR_SAFE_MODE, naming them, while agents
 * have not told what they hold, unless `withoutSilent` says that they will not any more.
 */
export async function resolveSafeMode(
  context: Context,
  { withoutSilent }: { withoutSilent: boolean },
): Promise<Resolution | null> {
  return context.db.write(async (trx) => {
    const differences = await findDifferences(context, trx);
    if (differences === null) return null;
    const { safeMode, silentAgents } = differences;
    if (silentAgents.length > 0 && !withoutSilent)
      throw new AppError(
        'COORDINATOR_SAFE_MODE',
        `${String(silentAgents.length)} agents have not told what they hold: ${silentAgents.join(', ')}.`,
        { remedy: 'Wait for them. Only where they never come back: resolve with --without-silent-agents.' },
      );
    const now = context.clock.now();
    await endSafeMode(trx, safeMode.id, now); // From here on this transaction acts.
    const forged = await listForgedWork(context, trx);
    for (const { id } of forged) await updateWork(trx, id, { state: 'withdrawn', done_at: now });
    const held = await listHeldOrders(trx, safeMode.entered_at);
    for (const order of held) await bindContract(trx, order);
    const first = await applyHeldBack(context, trx, { isLast: false });
    let ended = 0;
    for (const order of held) if (await endAsOrdered(context, trx, order)) ended += 1;
    const second = await applyHeldBack(context, trx, { isLast: true });
    let raised = 0;
    for (const order of held) if (await raiseEpoch(trx, order)) raised += 1;
    for (const order of held) await orderRemoval(context, trx, order);
    await askAboutAll(trx, now);
    await acceptMark(context, trx);
    const unknown = held
      .filter(({ known_epoch }) => known_epoch === null)
      .map(({ contract_id }) => contract_id);
    const resolution: Resolution = {
      withdrawn: forged.length,
      ended,
      raised,
      applied: first.applied + second.applied,
      unapplied: second.unapplied,
      unknown: [...new Set(unknown)],
    };
    trx.afterCommit(() => context.log.warn({ ...resolution }, 'safe_mode.resolved'));
    return resolution;
  });
}

type Held = Pick<HeldOrderRow, 'agent_key' | 'contract_id' | 'epoch' | 'compact'>;

/**
 * The agent that holds an order is the one that may have built (I4): nobody else gets it. But where this database has
 * given it to another one since, that one may have built too, and is building perhaps: it keeps the contract.
 */
async function bindContract(trx: Transaction, held: Held): Promise<void> {
  const contract = await findContract(trx, held.contract_id);
  if (contract === null || contract.epoch >= held.epoch || contract.agent_key !== null) return;
  await updateContract(trx, contract, { agent_key: held.agent_key });
  // Its work too: that says who may take it.
  await trx
    .updateTable('work')
    .set({ agent_key: held.agent_key })
    .where('contract_id', '=', contract.id)
    .where('state', 'in', ['open', 'leased'])
    .execute();
}

async function raiseEpoch(trx: Transaction, held: Held): Promise<boolean> {
  const contract = await findContract(trx, held.contract_id);
  if (contract === null || contract.epoch >= held.epoch) return false;
  await updateContract(trx, contract, { epoch: held.epoch });
  return true;
}

/** Ends a contract by the tombstone that we once signed, as of the time that it names: for its money too. */
async function endAsOrdered(context: Context, trx: Transaction, held: Held): Promise<boolean> {
  const tombstone = tombstoneOf(held.compact);
  const contract = await findContract(trx, held.contract_id);
  if (tombstone === undefined || contract === null || isTerminal(contract.state)) return false;
  const event = CONTRACT_EVENTS.find((one) => nextContractState(contract.state, one) === tombstone.reason);
  if (event === undefined) return false;
  const then = asOf(context, Date.parse(tombstone.at));
  const reason = 'It had ended before the database was restored; its tombstone says so.';
  // First: an epoch says that something may have been made, which has to be proved gone.
  const epoch = Math.max(contract.epoch, held.epoch);
  const raised = await updateContract(trx, contract, { epoch });
  await moveContract(then, trx, raised, { event, actor: 'system', reason });
  return true;
}

/**
 * A contract that ended here without ever having been leased, as far as we knew: an agent had the order all the same,
 * so that something may have been made for it, which has to be proved gone.
 */
async function orderRemoval(context: Context, trx: Transaction, held: Held): Promise<void> {
  const contract = await findContract(trx, held.contract_id);
  if (contract === null || !isTerminal(contract.state) || contract.release !== 'none') return;
  const { id: contract_id, state: reason, ended_at: endedAt } = contract;
  const at = toTimestamp(endedAt ?? context.clock.now());
  const tombstone = sealTombstone(context, { contract_id, reason, at });
  await openWork(context, trx, contract, { kind: 'destroy', tombstone });
  await updateContract(trx, contract, { release: 'pending' });
}

/**
 * Acts on records that were held back, each chain in order. Those that do not fit stay held back, and the last time
 * they get the code that says why.
 */
async function applyHeldBack(
  context: Context,
  trx: Transaction,
  { isLast }: { isLast: boolean },
): Promise<{ applied: number; unapplied: number }> {
  const counts = { applied: 0, unapplied: 0 };
  for (const row of await listHeldBack(trx)) {
    const record = verifyRecord(row.compact);
    const agent = await findAgent(trx, row.agent_key);
    if (record === null || agent === null)
      throw new Error(`record ${String(row.seq)} of ${row.agent_key} is broken`);
    const principal = principalOf(agent);
    await replayLease(context, trx, principal, record.payload);
    const { outcome, code } = await applyRecord(context, trx, principal, record.payload);
    counts[outcome === 'not_applied' ? 'unapplied' : 'applied'] += 1;
    if (outcome === 'not_applied' && !isLast) continue;
    await settleRecord(trx, row, { outcome, code: code ?? null });
  }
  return counts;
}

/** The lease that the record was made under was forgotten with everything else. The agent's own order proves it. */
async function replayLease(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  { contract_id, epoch }: RecordPayload,
): Promise<void> {
  const contract = await findContract(trx, contract_id);
  if (contract === null || contract.agent_key !== agent.publicKey || epoch <= contract.epoch) return;
  if (contract.state === 'accepted') await replayTaking(context, trx, contract, epoch);
  else await updateContract(trx, contract, { epoch });
}

async function replayTaking(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  epoch: number,
): Promise<void> {
  const reason = 'An agent had taken the work before the database was restored.';
  await moveContract(context, trx, contract, { event: 'lease', actor: 'system', reason, set: { epoch } });
  await trx
    .updateTable('work')
    .set({
      state: 'leased',
      leased_by: contract.agent_key,
      agent_key: contract.agent_key,
      epoch,
      lease_expires_at: 0,
    })
    .where('contract_id', '=', contract.id)
    .where('kind', '=', 'provision')
    .where('state', '=', 'open')
    .execute();
}

function principalOf(agent: AgentRow): AgentPrincipal {
  return {
    kind: 'agent',
    publicKey: agent.public_key,
    provider: agent.provider_pubkey,
    poolId: agent.pool_id,
    permissions: JSON.parse(agent.permissions) as AgentPrincipal['permissions'],
  };
}

/** The same coordinator, at another time. */
function asOf(context: Context, at: number): Context {
  const clock: Clock = {
    now: () => at,
    monotonic: () => context.clock.monotonic(),
    schedule: (delayMs, callback) => context.clock.schedule(delayMs, callback),
  };
  return { ...context, clock };
}
