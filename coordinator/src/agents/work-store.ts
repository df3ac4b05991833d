/** The SQL of work items: what an agent has to do for a contract, and who holds the lease. */
import { sql, type RawBuilder, type SqlBool } from 'kysely';
import { newUuid } from '@dc/shared/ids';
import type { OrderKind } from '@dc/shared/orders/order';
import type { Context } from '../context.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { WorkTable } from '../database/tables-spine.ts';
import { isLeftBehind } from './successors.ts';
import { hasRoom, isOnline, isOpen, sizeOf, type Presence } from '../offerings/pool-room.ts';

export type WorkRow = WorkTable;

/**
 * Opens a work item, tells the pool's agents, and returns its id. A destruction comes with its signed tombstone (see
 * tombstone.ts). Another of the same kind for the contract is a bug and throws.
 */
export async function openWork(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { kind, tombstone }: { kind: OrderKind; tombstone?: string },
): Promise<string> {
  const now = context.clock.now();
  const id = newUuid(context.clock, context.random);
  await trx
    .insertInto('work')
    .values({
      id,
      contract_id: contract.id,
      kind,
      state: 'open',
      pool_id: contract.pool_id,
      agent_key: contract.agent_key,
      leased_by: null,
      epoch: contract.epoch,
      clean_epoch: 0,
      lease_expires_at: null,
      tombstone: tombstone ?? null,
      returned: null,
      not_before_at: now,
      created_at: now,
      done_at: null,
    })
    .execute();
  await context.signals.emit(trx, 'pool', contract.pool_id);
  return id;
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
  const { rows } = await statement<WorkRow>`select * from work where id = ${id}`.execute(reader);
  return rows[0] ?? null;
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

/** Word for word the condition of the index `work_open`: with bound values the whole history would be read. */
const IS_LIVE = sql<SqlBool>`state in ('open', 'leased')`;

/** Who asks for work. */
export interface Worker {
  agentKey: string;
  poolId: string;
  now: number;
}

/**
 * Items that this agent may lease now, oldest first: open, or with a lease that ran out, and not bound to another. One
 * that it handed back waits for a while, or until it has more room; others with room may take it at once.
 */
export async function listLeasable(reader: Reader, worker: Worker, limit: number): Promise<WorkRow[]> {
  if (!(await hasLiveWork(reader, worker.poolId))) return [];
  return reader
    .selectFrom('work')
    .selectAll()
    .where('pool_id', '=', worker.poolId)
    .where(IS_LIVE)
    .where(
      sql<SqlBool>`not exists (select 1 from hand_backs h where h.work_id = work.id
      and h.agent_key = ${worker.agentKey} and h.until_at > ${worker.now})`,
    )
    .where((where) =>
      where.or([
        where('agent_key', '=', worker.agentKey),
        isLeftBehind(worker.now),
        where.and([
          where('agent_key', 'is', null),
          where.or([where('kind', '<>', 'provision'), mayBegin(worker)]),
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

/** Asked with every heartbeat, and mostly there is nothing: finding that out by the whole query costs ten times as much. */
async function hasLiveWork(reader: Reader, poolId: string): Promise<boolean> {
  const { rows } = await statement`
    select 1 from work where pool_id = ${poolId} and state in ('open', 'leased') limit 1`.execute(reader);
  return rows.length > 0;
}

/** SQL: the agent takes new work, and the contract is reserved at it, or it has room for it. */
function mayBegin({ agentKey, now }: Worker): RawBuilder<SqlBool> {
  return sql<SqlBool>`exists (select 1 from contracts k join agents a on a.public_key = ${agentKey}
    left join capacities c on c.agent_key = a.public_key
    where k.id = work.contract_id and ${isOpen({ now })} and a.healthy = 1
    and (${hasRoom({ now }, sizeOf('k'))} or exists (
      select 1 from reservations r where r.contract_id = k.id and r.agent_key = a.public_key)))`;
}

/** Orders to provision that no agent of the pool holds or is bound to, oldest first. */
export function listUnbound(reader: Reader, poolId: string, limit: number): Promise<WorkRow[]> {
  return reader
    .selectFrom('work')
    .selectAll()
    .where('pool_id', '=', poolId)
    .where(IS_LIVE)
    .where('state', '=', 'open')
    .where('kind', '=', 'provision')
    .where('agent_key', 'is', null)
    .orderBy('created_at')
    .limit(limit)
    .execute();
}

/** Why an agent cannot do an item now. */
export interface HandBack {
  workId: string;
  agentKey: string;
  code: string;
  detail: string;
  at: number;
}

/** The first pause before an agent is asked again for what it handed back; doubles each time. */
const PAUSE_MS = 5_000;
const PAUSE_MS_MAX = 300_000;
const PAUSE_DOUBLINGS_MAX = 6;

/** Notes that an agent cannot do an item, and how long it is not asked again. */
export async function noteHandBack(trx: Transaction, handBack: HandBack): Promise<void> {
  const { workId, agentKey, code, detail, at } = handBack;
  const before = await trx
    .selectFrom('hand_backs')
    .select('times')
    .where('work_id', '=', workId)
    .where('agent_key', '=', agentKey)
    .executeTakeFirst();
  const past = before?.times ?? 0;
  const until_at = at + Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** Math.min(past, PAUSE_DOUBLINGS_MAX));
  const row = { at, code, detail, times: past + 1, until_at };
  await trx
    .insertInto('hand_backs')
    .values({ work_id: workId, agent_key: agentKey, ...row })
    .onConflict((conflict) => conflict.columns(['work_id', 'agent_key']).doUpdateSet(row))
    .execute();
}

/** The last time that this agent handed this item back; null where it never did. */
export async function findHandBack(
  reader: Reader,
  workId: string,
  agentKey: string,
): Promise<{ at: number; code: string } | null> {
  const row = await reader
    .selectFrom('hand_backs')
    .select(['at', 'code'])
    .where('work_id', '=', workId)
    .where('agent_key', '=', agentKey)
    .executeTakeFirst();
  return row ?? null;
}

/** The agent is asked again now for what it handed back with one of these reasons: they have gone. */
export async function forgetPauses(
  trx: Transaction,
  agentKey: string,
  codes: readonly string[],
  now: number,
): Promise<void> {
  await trx
    .updateTable('hand_backs')
    .set({ until_at: now })
    .where('agent_key', '=', agentKey)
    .where('code', 'in', codes)
    .where('until_at', '>', now)
    .execute();
}

/** Orders to provision that wait for an agent which is not heard of, anywhere, oldest first. */
export function listWaiting(reader: Reader, presence: Presence, limit: number): Promise<WorkRow[]> {
  return reader
    .selectFrom('work')
    .selectAll()
    .where(IS_LIVE)
    .where('state', '=', 'open')
    .where('kind', '=', 'provision')
    .where('agent_key', 'is', null)
    .where(
      sql<SqlBool>`not exists (select 1 from reservations r join agents a on a.public_key = r.agent_key
      where r.contract_id = work.contract_id and ${isOnline(presence)} and a.healthy = 1)`,
    )
    .orderBy('created_at')
    .limit(limit)
    .execute();
}

/** Changes an item that is open or leased. Only under the writer's transaction, which is the only one at a time. */
export async function updateWork(trx: Transaction, id: string, change: Partial<WorkRow>): Promise<void> {
  await trx.updateTable('work').set(change).where('id', '=', id).execute();
}

/** Lets the lease of an item last until then. */
export async function keepWork(trx: Transaction, id: string, until: number): Promise<void> {
  await statement`update work set lease_expires_at = ${until} where id = ${id}`.execute(trx);
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
