/**
 * Who can serve an offering: an agent of its pool, or of any pool of its location, that may act, takes new work and,
 * where it publishes its capacity, has room for the whole of it. The list and the sale ask with the same words.
 */
import { sql, type RawBuilder } from 'kysely';
import type { Reader } from '../database/database.ts';

/** Why an offering cannot be rented now, or that it can. */
export type Stock =
  'available' | 'sold_out' | 'no_capacity' | 'draining' | 'unhealthy' | 'offline' | 'safe_mode';

/** When an agent counts as online. */
export interface Presence {
  now: number;
  offlineAfterMs: number;
}

/** SQL: the agent `a` may provision, and was heard of lately. */
export function isOnline({ now, offlineAfterMs }: Presence): RawBuilder<boolean> {
  return sql<boolean>`(a.last_heartbeat_at > ${now - offlineAfterMs} and a.revoked_at is null
    and (a.expires_at is null or a.expires_at > ${now}) and a.permissions like '%"provision"%')`;
}

/** SQL: the agent `a` has not said that it takes no new work. */
export const isOpen = ({ now }: Pick<Presence, 'now'>): RawBuilder<boolean> =>
  sql<boolean>`(a.draining = 0 and (a.maintenance_until_at is null or a.maintenance_until_at <= ${now}))`;

/** SQL: the agent `a` is online, takes new work, and its backend works. */
export const isServing = (presence: Presence): RawBuilder<boolean> =>
  sql<boolean>`(${isOnline(presence)} and ${isOpen(presence)} and a.healthy = 1)`;

/** SQL: the agent `a` has room for `size` by its statement `c`, which is still good, or says nothing of it. */
export function hasRoom({ now }: Pick<Presence, 'now'>, size: SizeSql): RawBuilder<boolean> {
  return sql<boolean>`(c.agent_key is null or (c.expires_at > ${now} and c.room_cpu >= ${size.cpu}
    and c.room_memory_mb >= ${size.memory_mb} and c.room_instances >= 1
    and coalesce(c.room_addresses, 1) >= 1 and coalesce(c.room_port_blocks, 1) >= 1
    and exists (select 1 from storage_rooms s where s.agent_key = c.agent_key and s.room_gb >= ${size.disk_gb})))`;
}

/** A size as it stands in a query. */
export interface SizeSql {
  cpu: RawBuilder<number>;
  memory_mb: RawBuilder<number>;
  disk_gb: RawBuilder<number>;
}

/** SQL: the size in the columns of this table. */
export const sizeOf = (table: string): SizeSql => ({
  cpu: sql<number>`${sql.ref(`${table}.cpu`)}`,
  memory_mb: sql<number>`${sql.ref(`${table}.memory_mb`)}`,
  disk_gb: sql<number>`${sql.ref(`${table}.disk_gb`)}`,
});

/** SQL: the agent `a` is of a pool that serves the offering `o`. */
export const servesOffering = sql<boolean>`(a.pool_id = o.pool_id or (o.any_pool = 1 and exists (select 1 from pools p
  where p.id = a.pool_id and p.provider_pubkey = o.provider_pubkey and p.country = o.country)))`;

/** SQL: the stock of the offering `o`. */
export function stockOf(presence: Presence): RawBuilder<Stock> {
  const serving = isServing(presence);
  return sql<Stock>`(case when o.places_taken >= o.places then 'sold_out'
    when exists (select 1 from safe_modes where resolved_at is null) then 'safe_mode' else (
    select case
      when count(*) filter (where ${isOnline(presence)}) = 0 then 'offline'
      when count(*) filter (where ${isOnline(presence)} and ${isOpen(presence)}) = 0 then 'draining'
      when count(*) filter (where ${serving}) = 0 then 'unhealthy'
      when count(*) filter (where ${serving} and ${hasRoom(presence, sizeOf('o'))}) = 0 then 'no_capacity'
      else 'available' end
    from agents a left join capacities c on c.agent_key = a.public_key
    where a.provider_pubkey = o.provider_pubkey and ${servesOffering}) end)`;
}

/** An agent that is to serve a contract. */
export interface Choice {
  agentKey: string;
  poolId: string;
}

/** Whom not to choose: agents that have handed this work item back since then, for one of these reasons. */
export interface HandedBack {
  workId: string;
  codes: readonly string[];
  since: number;
}

/**
 * Chooses the agent with the most room for a contract of this offering; one that says nothing of its room comes after
 * those that do. Null where nobody can serve it now.
 */
export async function chooseAgent(
  reader: Reader,
  offeringId: string,
  presence: Presence,
  besides: HandedBack | null = null,
): Promise<Choice | null> {
  const isRefused =
    besides === null
      ? sql<boolean>`false`
      : sql<boolean>`exists (select 1 from hand_backs h where h.work_id = ${besides.workId}
          and h.agent_key = a.public_key and h.at >= ${besides.since} and h.code in (${sql.join(besides.codes)}))`;
  const { rows } = await sql<Choice>`select a.public_key as "agentKey", a.pool_id as "poolId"
    from offerings o join agents a on a.provider_pubkey = o.provider_pubkey and ${servesOffering}
    left join capacities c on c.agent_key = a.public_key
    where o.id = ${offeringId} and ${isServing(presence)} and ${hasRoom(presence, sizeOf('o'))} and not ${isRefused}
    order by c.agent_key is null, c.room_memory_mb desc, a.public_key limit 1`.execute(reader);
  return rows[0] ?? null;
}
