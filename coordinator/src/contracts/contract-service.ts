/**
 * The life of a contract: every change is one conditional update by the transition table, with its history row, its
 * consequences (work, money, place) and its signals in one transaction (invariant I9).
 */
import { newUuid } from '@dc/shared/ids';
import type { SshPublicKey } from '@dc/shared/ssh-public-key';
import { AppError } from '@dc/shared/errors';
import type { OrderKind } from '@dc/shared/orders/order';
import {
  isTerminal,
  nextContractState,
  type ContractEvent,
  type ContractState,
} from '@dc/shared/state/contract';
import type { WireCreateContract } from '@dc/shared/wire/contract';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { reserve, unreserve } from '../agents/reservations.ts';
import { sealTombstone } from '../agents/tombstone.ts';
import { openWork, withdrawWork } from '../agents/work-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import {
  findOffering,
  findStock,
  freePlace,
  takePlace,
  type OfferingRow,
} from '../offerings/offering-store.ts';
import { chooseAgent, type Stock } from '../offerings/pool-room.ts';
import { followWithPayments } from '../payments/payment-asks.ts';
import { startEarning } from '../payments/book-earning.ts';
import { settle } from '../payments/settlement.ts';
import { assertActing } from '../safe-mode/safe-mode.ts';
import { endMeter, openMeter, startMeter } from '../usage/usage-meter.ts';
import { DEADLINE_TOPIC, deadlineOf } from './contract-deadlines.ts';
import { endOfPause, HOUR_MS, stateError, totalPriceE9s } from './contract-rules.ts';
import {
  insertContract,
  insertHistory,
  updateContract,
  type ContractChange,
  type ContractRow,
  type HistoryNote,
} from './contract-store.ts';

/** A step in a contract's life. */
export interface ContractMove extends HistoryNote {
  event: ContractEvent;
  /** Columns that are set with it. */
  set?: ContractChange;
}

/** Moves the contract by an event, with its history row, and does what follows. Throws CONTRACT_STATE or COORDINATOR_SAFE_MODE. */
export async function moveContract(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { set, ...note }: ContractMove,
): Promise<ContractRow> {
  await assertActing(trx);
  const now = context.clock.now();
  const state = nextContractState(contract.state, note.event);
  if (state === null) throw stateError(contract.state, note.event);
  const after = await updateContract(trx, contract, {
    ...(contract.state === 'paused' ? endOfPause(contract, now) : {}),
    ...(state === 'paused' ? { paused_at: now } : {}),
    ...set,
    state,
    state_since_at: now,
    ...(isTerminal(state) ? { ended_at: now } : {}),
  });
  await insertHistory(trx, after, { ...note, from: contract.state, at: now });
  await setDeadline(context, trx, after);
  const settled = await followUp(context, trx, { from: contract.state, after, now });
  await context.signals.emit(trx, 'contract', contract.id);
  return settled;
}

/** What an agent has to do when a contract comes from one state into another that is not its end. */
function orderAfter(from: ContractState, to: ContractState): OrderKind | null {
  if (to === 'accepted') return 'provision';
  if (to === 'paused') return 'stop';
  return from === 'paused' ? 'start' : null;
}

/** Adds time that was paid for, in the transaction that books its money. */
export async function extendTerm(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { hours, priceE9s }: { hours: number; priceE9s: bigint },
): Promise<ContractRow> {
  await assertActing(trx);
  const after = await updateContract(trx, contract, {
    total_e9s: contract.total_e9s + priceE9s,
    duration_hours: contract.duration_hours + hours,
    ends_at: (contract.ends_at ?? 0) + hours * HOUR_MS,
  });
  await setDeadline(context, trx, after);
  await context.signals.emit(trx, 'contract', contract.id);
  return after;
}

/** Changes columns without moving the state (a refund confirmed, an instance released), and tells the streams. */
export async function touchContract(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  change: ContractChange,
): Promise<ContractRow> {
  const after = await updateContract(trx, contract, change);
  await context.signals.emit(trx, 'contract', contract.id);
  return after;
}

/**
 * Changes columns without moving the state, and tells the streams; with an entry in the history while the contract is
 * active. In other states the history has changes of state only: pauses are counted by it.
 */
export async function noteOnContract(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { set, ...note }: HistoryNote & { set?: ContractChange },
): Promise<ContractRow> {
  const after = await touchContract(context, trx, contract, set ?? {});
  if (contract.state === 'active')
    await insertHistory(trx, after, { ...note, from: contract.state, at: context.clock.now() });
  return after;
}

/** Leaves word for the moment at which the contract's present state has lasted too long. */
async function setDeadline(context: Context, trx: Transaction, contract: ContractRow): Promise<void> {
  const deadline = deadlineOf(contract, context.config.contracts);
  if (deadline === null) return;
  await context.outbox.enqueue(trx, DEADLINE_TOPIC, {
    key: `${contract.id}:${String(contract.version)}`,
    payload: { contractId: contract.id },
    notBeforeAt: deadline.at,
  });
}

/** What follows from a state, in the same transaction. */
async function followUp(
  context: Context,
  trx: Transaction,
  { from, after, now }: { from: ContractState; after: ContractRow; now: number },
): Promise<ContractRow> {
  if (after.state === 'active' || isTerminal(after.state))
    await followWithPayments(context, trx, after, isTerminal(after.state));
  if (!isTerminal(after.state)) {
    const kind = orderAfter(from, after.state);
    // A stop that was not carried out yet is not wanted any more when its start is, and the other way round.
    if (kind === 'stop' || kind === 'start') await withdrawWork(trx, after.id, now);
    if (kind !== null) await openWork(context, trx, after, { kind });
    if (from === 'provisioned') {
      await startEarning(context, trx, after.id, after.active_at ?? now);
      await startMeter(trx, after.id, after.active_at ?? now);
    }
    return after;
  }
  await settle(context, trx, after, now);
  await endMeter(trx, after.id, now);
  await withdrawWork(trx, after.id, now);
  // Nobody ever got the lease: nothing was made, so nothing is left to prove.
  if (after.epoch === 0) return giveBackPlace(trx, after);
  const words = { contract_id: after.id, reason: after.state, at: toTimestamp(now) };
  const tombstone = sealTombstone(context, words);
  await openWork(context, trx, after, { kind: 'destroy', tombstone });
  return updateContract(trx, after, { release: 'pending' });
}

/** Frees the contract's place in its offering, once. */
export async function giveBackPlace(trx: Transaction, contract: ContractRow): Promise<ContractRow> {
  if (contract.place_held === 0) return contract;
  await freePlace(trx, contract.offering_id);
  await unreserve(trx, contract.id);
  return updateContract(trx, contract, { place_held: 0 });
}

/** The agent proved that the instance is gone: the contract is released and its place is free. Idempotent. */
export async function releaseContract(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
): Promise<void> {
  const freed = await giveBackPlace(trx, contract);
  await touchContract(context, trx, freed, { release: 'released' });
}

/** What a renter orders, after the SSH key was read. */
export interface ContractOrder {
  body: WireCreateContract;
  sshKey: SshPublicKey;
  renter: string;
}

/** Holds the order against what is offered, and returns the operating system. */
function checkOrder(body: WireCreateContract, offering: OfferingRow): string {
  if (body.duration_hours < offering.min_hours || body.duration_hours > offering.max_hours) {
    const range = `${String(offering.min_hours)} to ${String(offering.max_hours)}`;
    throw new AppError('DURATION_OUT_OF_RANGE', `This offering is rented for ${range} hours.`, {
      fields: [{ pointer: '/duration_hours', detail: `must be ${range}` }],
    });
  }
  const systems = JSON.parse(offering.operating_systems) as string[];
  const operatingSystem = body.operating_system ?? systems[0] ?? '';
  if (!systems.includes(operatingSystem)) {
    throw new AppError('OPERATING_SYSTEM_UNKNOWN', `This offering comes with: ${systems.join(', ')}.`);
  }
  return operatingSystem;
}

/** Throws OFFERING_SOLD_OUT or OFFERING_UNSERVED, saying why, unless it can be rented now. */
function assertAvailable(stock: Stock): void {
  switch (stock) {
    case 'available':
      return;
    case 'sold_out':
      throw new AppError('OFFERING_SOLD_OUT');
    case 'no_capacity':
      throw new AppError('OFFERING_SOLD_OUT', 'The provider has no room for another one now.');
    case 'draining':
      throw new AppError(
        'OFFERING_UNSERVED',
        'The provider takes no new contracts now: it is in maintenance.',
      );
    case 'unhealthy':
      throw new AppError('OFFERING_UNSERVED', 'The provider’s backend does not work now.');
    case 'safe_mode':
      throw new AppError('COORDINATOR_SAFE_MODE');
    case 'offline':
      throw new AppError('OFFERING_UNSERVED', 'No agent of this provider is online.');
  }
}

/**
 * Makes the contract and takes its place and its room. Throws OFFERING_NOT_FOUND, DURATION_OUT_OF_RANGE,
 * OPERATING_SYSTEM_UNKNOWN, OFFERING_SOLD_OUT, OFFERING_UNSERVED, USAGE_CAP_REQUIRED, USAGE_UNPAID or MONEY_RANGE;
 * then nothing was changed.
 */
export async function createContract(
  context: Context,
  trx: Transaction,
  order: ContractOrder,
): Promise<ContractRow> {
  await assertActing(trx);
  const { body } = order;
  const now = context.clock.now();
  const offering = await findOffering(trx, body.offering_id);
  if (offering === null || offering.retired_at !== null) throw new AppError('OFFERING_NOT_FOUND');
  const operatingSystem = checkOrder(body, offering);
  const total = totalPriceE9s(offering, body.duration_hours);
  const { offlineAfterMs } = context.config.agents;
  const presence = { now, offlineAfterMs };
  assertAvailable(await findStock(trx, offering.id, presence));
  const choice = await chooseAgent(trx, offering.id, presence);
  if (choice === null || !(await takePlace(trx, offering.id))) throw new AppError('OFFERING_SOLD_OUT');
  const contract: ContractRow = {
    id: newUuid(context.clock, context.random),
    version: 1,
    state: 'requested',
    release: 'none',
    renter_pubkey: order.renter,
    provider_pubkey: offering.provider_pubkey,
    offering_id: offering.id,
    offering_title: offering.title,
    pool_id: choice.poolId,
    cpu: offering.cpu,
    memory_mb: offering.memory_mb,
    disk_gb: offering.disk_gb,
    operating_system: operatingSystem,
    ssh_public_key: order.sshKey.line,
    duration_hours: body.duration_hours,
    total_e9s: total,
    setup_fee_e9s: offering.setup_fee_e9s,
    currency: offering.currency,
    payment_method: body.payment_method,
    payment_state: 'pending',
    place_held: 1,
    epoch: 0,
    agent_key: null,
    created_at: now,
    state_since_at: now,
    paid_at: null,
    provisioned_at: null,
    active_at: null,
    ends_at: null,
    ended_at: null,
    paused_at: null,
    paused_ms: 0,
    access: null,
    verified_by: null,
    last_error: null,
  };
  await insertContract(trx, contract);
  await openMeter(trx, contract, { cap: body.usage_cap, now });
  await reserve(trx, choice.agentKey, contract);
  await insertHistory(trx, contract, {
    from: null,
    at: now,
    event: 'create',
    actor: 'renter',
    reason: 'Requested by the renter.',
  });
  await setDeadline(context, trx, contract);
  await context.signals.emit(trx, 'contract', contract.id);
  return contract;
}
