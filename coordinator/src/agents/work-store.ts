/** The SQL of work items: what an agent has to do for a contract, and who holds the lease. */
import { sql, type RawBuilder, type SqlBool } from 'kysely';
import { newUuid } from '@dc/shared/ids';
import type { OrderKind, Tombstone } from '@dc/shared/orders/order';
import type { Context } from '../context.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader, Transaction } from '../database/database.ts';
import type { WorkTable } from '../database/tables-spine.ts';

export type WorkRow = WorkTable;

/** Opens a work item and tells the pool's agents. Another of the same kind for the contract is a bug and throws. */
export async function openWork(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { kind, tombstone }: { kind: OrderKind; tombstone?: Tombstone },
): Promise<void> {
  const now = context.clock.now();
  await trx
    .insertInto('work')
    .values({
      id: newUuid(context.clock, context.random),
      contract_id: contract.id,
      kind,
      state: 'open',
      pool_id: contract.pool_id,
      agent_key: contract.agent_key,
      leased_by: null,
      epoch: contract.epoch,
      lease_expires_at: null,
      tombstone: tombstone === undefined ? null : JSON.stringify(tombstone),
      returned: null,
      not_before_at: now,
      created_at: now,
      done_at: null,
    })
    .execute();
  await context.signals.emit(trx, 'pool', contract.pool_id);
}

/** Withdraws whatever is open or leased for a contract: its leases are stale from now on. */
export async function withdrawWork(trx: Transaction, contractId: string, at: number): Promise<void> {
  await trx
    .updateTable('work')
    .set({ state: 'withdrawn', leased_by: null, lease_expires_at: null, done_at: at })
    .where('contract_id', '=', contractId)
    .where('state', 'in', ['open', 'leased'])
    .execute();
}

export async function findWork(reader: Reader, id: string): Promise<WorkRow | null> {
  return (await reader.selectFrom('work').selectAll().where('id', '=', id).executeTakeFirst()) ?? null;
}

/** The item of a kind that is open or leased for a contract, or null. */
export async function findLiveWork(
  reader: Reader,
  contractId: string,
  kind: OrderKind,
): Promise<WorkRow | null> {
  const row = await reader
    .selectFrom('work')
    .selectAll()
    .where('contract_id', '=', contractId)
    .where('kind', '=', kind)
    .where('state', 'in', ['open', 'leased'])
    .executeTakeFirst();
  return row ?? null;
}

/** Who asks for work. */
export interface Worker {
  agentKey: string;
  poolId: string;
  now: number;
}

/**
 * Items that this agent may lease now, oldest first: open, or with a lease that ran out, and not bound to another. One
 * that was handed back waits only for the agent that had it (`leased_by` still names it): others may take it at once.
 */
export function listLeasable(reader: Reader, worker: Worker, limit: number): Promise<WorkRow[]> {
  return reader
    .selectFrom('work')
    .selectAll()
    .where('pool_id', '=', worker.poolId)
    .where((where) =>
      where.or([where('not_before_at', '<=', worker.now), where('leased_by', '<>', worker.agentKey)]),
    )
    .where((where) =>
      where.or([
        where('agent_key', '=', worker.agentKey),
        where.and([
          where('agent_key', 'is', null),
          where.or([where('kind', '<>', 'provision'), where.not(isDraining(worker))]),
        ]),
      ]),
    )
    .where((where) =>
      where.or([
        where('state', '=', 'open'),
        where.and([where('state', '=', 'leased'), where('lease_expires_at', '<=', worker.now)]),
      ]),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** SQL: the agent has said that it takes no new work. What it has begun is still its own. */
function isDraining({ agentKey, now }: Worker): RawBuilder<SqlBool> {
  return sql<SqlBool>`exists (select 1 from agents where public_key = ${agentKey}
    and (draining = 1 or maintenance_until_at > ${now}))`;
}

/** Orders to provision that no agent of the pool holds or is bound to, oldest first. */
export function listUnbound(reader: Reader, poolId: string, limit: number): Promise<WorkRow[]> {
  return reader
    .selectFrom('work')
    .selectAll()
    .where('pool_id', '=', poolId)
    .where('state', '=', 'open')
    .where('kind', '=', 'provision')
    .where('agent_key', 'is', null)
    .orderBy('created_at')
    .limit(limit)
    .execute();
}

/** Notes that an agent cannot do an item, and has made nothing for it. */
export async function noteHandBack(
  trx: Transaction,
  handBack: { work_id: string; agent_key: string; at: number; code: string; detail: string },
): Promise<void> {
  const { at, code, detail } = handBack;
  await trx
    .insertInto('hand_backs')
    .values(handBack)
    .onConflict((conflict) => conflict.columns(['work_id', 'agent_key']).doUpdateSet({ at, code, detail }))
    .execute();
}

/** Changes an item that is open or leased. Only under the writer's transaction, which is the only one at a time. */
export async function updateWork(trx: Transaction, id: string, change: Partial<WorkRow>): Promise<void> {
  await trx.updateTable('work').set(change).where('id', '=', id).execute();
}

/** One page of a provider's pending work of one kind. `after`: the id of the last item of the page before. */
export interface PendingFilter {
  providerPubkey: string;
  kind: OrderKind;
  after: string;
  limit: number;
}

/** What is open or leased in a provider's pools, oldest first, for people and for polling. */
export function listPending(reader: Reader, { providerPubkey, kind, after, limit }: PendingFilter) {
  return reader
    .selectFrom('work')
    .innerJoin('contracts', 'contracts.id', 'work.contract_id')
    .select([
      'work.id',
      'work.contract_id',
      'contracts.offering_id',
      'work.kind',
      'work.created_at',
      'work.state',
      'work.leased_by',
    ])
    .where('contracts.provider_pubkey', '=', providerPubkey)
    .where('work.kind', '=', kind)
    .where('work.state', 'in', ['open', 'leased'])
    .where('work.id', '>', after)
    .orderBy('work.id')
    .limit(limit)
    .execute();
}
