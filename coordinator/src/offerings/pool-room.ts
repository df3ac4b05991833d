/**
 * Whether a pool can serve another contract: an agent that may act and takes new work, and, where all of those
 * publish their capacity, room for it. The list and the sale ask with the same words, so that they never differ.
 */
import { sql, type RawBuilder } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';

/** Why an offering cannot be rented now, or that it can. */
export type Stock = 'available' | 'sold_out' | 'no_capacity' | 'draining' | 'offline';

/** When an agent counts as online. */
export interface Presence {
  now: number;
  offlineAfterMs: number;
}

/** What one contract takes. */
export interface Size {
  cpu: number;
  memory_mb: number;
  disk_gb: number;
}

/** SQL: the agent `a` may provision, and was heard of lately. */
function isOnline({ now, offlineAfterMs }: Presence): RawBuilder<boolean> {
  return sql<boolean>`(a.last_heartbeat_at > ${now - offlineAfterMs} and a.revoked_at is null
    and (a.expires_at is null or a.expires_at > ${now}) and a.permissions like '%"provision"%')`;
}

/** SQL: the agent `a` is online and takes new work. */
function isServing(presence: Presence): RawBuilder<boolean> {
  return sql<boolean>`(${isOnline(presence)} and a.draining = 0
    and (a.maintenance_until_at is null or a.maintenance_until_at <= ${presence.now}))`;
}

/**
 * SQL: the stock of the offering `o`. What contracts take where nobody is heard of any more is added on both sides:
 * it is neither free nor in the way.
 */
export function stockOf(presence: Presence): RawBuilder<Stock> {
  const serving = isServing(presence);
  const lacks = (size: string, wanted: RawBuilder<number>): RawBuilder<boolean> => {
    const [free, held, taken] = ['c.free_', 'c.held_', 'p.taken_'].map((prefix) =>
      sql.ref(`${prefix}${size}`),
    );
    return sql<boolean>`sum(case when ${serving} then ${free} else 0 end + coalesce(${held}, 0)) - max(${taken}) < ${wanted}`;
  };
  return sql<Stock>`(case when o.places_taken >= o.places then 'sold_out' else (
    select case
      when count(*) filter (where ${isOnline(presence)}) = 0 then 'offline'
      when count(*) filter (where ${serving}) = 0 then 'draining'
      when count(*) filter (where ${serving} and c.agent_key is null) > 0 then 'available'
      when count(*) filter (where ${serving} and c.free_cpu >= o.cpu and c.free_memory_mb >= o.memory_mb
        and c.free_disk_gb >= o.disk_gb and c.free_instances >= 1) = 0 then 'no_capacity'
      when ${lacks('cpu', sql<number>`o.cpu`)} or ${lacks('memory_mb', sql<number>`o.memory_mb`)}
        or ${lacks('disk_gb', sql<number>`o.disk_gb`)} or ${lacks('instances', sql<number>`1`)} then 'no_capacity'
      else 'available' end
    from agents a join pools p on p.id = a.pool_id left join capacities c on c.agent_key = a.public_key
    where a.pool_id = o.pool_id) end)`;
}

/** Whether any agent of the pool that takes new work has not handed this work item back as one it cannot serve. */
export async function isAnyoneLeft(
  reader: Reader,
  work: { id: string; poolId: string; codes: readonly string[]; since: number },
  presence: Presence,
): Promise<boolean> {
  const { rows } =
    await sql`select 1 from agents a where a.pool_id = ${work.poolId} and ${isServing(presence)}
    and not exists (select 1 from hand_backs h where h.work_id = ${work.id} and h.agent_key = a.public_key
      and h.at >= ${work.since} and h.code in (${sql.join(work.codes)})) limit 1`.execute(reader);
  return rows.length === 1;
}

/** Counts a new contract into its pool. The sale has asked for the stock before, in the same transaction. */
export async function takeRoom(trx: Transaction, poolId: string, size: Size): Promise<void> {
  await countInto(trx, poolId, { cpu: size.cpu, memory_mb: size.memory_mb, disk_gb: size.disk_gb, count: 1 });
}

/**
 * Counts a contract out that has given its place back. Its agent says with the next heartbeat that this is free;
 * until then it is not.
 */
export async function freeRoom(
  trx: Transaction,
  { pool_id, agent_key, cpu, memory_mb, disk_gb }: Size & { pool_id: string; agent_key: string | null },
): Promise<void> {
  await countInto(trx, pool_id, { cpu: -cpu, memory_mb: -memory_mb, disk_gb: -disk_gb, count: -1 });
  if (agent_key === null) return;
  await sql`update capacities set held_cpu = max(0, held_cpu - ${cpu}),
    held_memory_mb = max(0, held_memory_mb - ${memory_mb}), held_disk_gb = max(0, held_disk_gb - ${disk_gb}),
    held_instances = max(0, held_instances - 1) where agent_key = ${agent_key}`.execute(trx);
}

async function countInto(trx: Transaction, poolId: string, size: Size & { count: number }): Promise<void> {
  await trx
    .updateTable('pools')
    .set((pool) => ({
      taken_cpu: pool('taken_cpu', '+', size.cpu),
      taken_memory_mb: pool('taken_memory_mb', '+', size.memory_mb),
      taken_disk_gb: pool('taken_disk_gb', '+', size.disk_gb),
      taken_instances: pool('taken_instances', '+', size.count),
    }))
    .where('id', '=', poolId)
    .execute();
}
