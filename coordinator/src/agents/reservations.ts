/**
 * What contracts take of which agent: taken with the sale, in its transaction, moved with the lease, given back with
 * the place. An agent's room is what it stated, less the reservations that were not at its backend by then.
 */
import { sql } from 'kysely';
import type { Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { ReservationsTable } from '../database/tables-spine.ts';
import { hasRoom, sizeOf } from '../offerings/pool-room.ts';

/** What one contract takes. */
export interface Size {
  cpu: number;
  memory_mb: number;
  disk_gb: number;
}

/** Reserves for a contract that has no reservation yet. The sale has chosen an agent with room, in this transaction. */
export async function reserve(
  trx: Transaction,
  agentKey: string,
  contract: Size & { id: string },
): Promise<void> {
  const { id, cpu, memory_mb, disk_gb } = contract;
  const storage = await fittingStorage(trx, agentKey, disk_gb);
  const row = { contract_id: id, agent_key: agentKey, storage, cpu, memory_mb, disk_gb, included: 0 };
  await trx.insertInto('reservations').values(row).execute();
  await changeRoom(trx, row, -1);
}

/** Gives back what the contract takes. What its agent saw at its backend is free when the agent says so. Idempotent. */
export async function unreserve(trx: Transaction, contractId: string): Promise<void> {
  const row = await trx
    .deleteFrom('reservations')
    .where('contract_id', '=', contractId)
    .returningAll()
    .executeTakeFirst();
  if (row?.included === 0) await changeRoom(trx, row, 1);
}

/** Moves the contract's reservation to another agent, or makes one there. False where that one has no room for it. */
export async function moveReservation(
  trx: Transaction,
  agentKey: string,
  contract: Size & { id: string },
  now: number,
): Promise<boolean> {
  const { agent_key: before } = (await findReservation(trx, contract.id)) ?? { agent_key: null };
  if (before === agentKey) return true;
  if (!(await roomFor(trx, agentKey, { size: contract, now }))) return false;
  await unreserve(trx, contract.id);
  await reserve(trx, agentKey, contract);
  return true;
}

export async function findReservation(
  trx: Transaction,
  contractId: string,
): Promise<ReservationsTable | undefined> {
  return trx.selectFrom('reservations').selectAll().where('contract_id', '=', contractId).executeTakeFirst();
}

async function roomFor(
  trx: Transaction,
  agentKey: string,
  { size, now }: { size: Size; now: number },
): Promise<boolean> {
  const { rows } = await sql`select 1 from (select cast(${size.cpu} as bigint) as cpu,
      cast(${size.memory_mb} as bigint) as memory_mb, cast(${size.disk_gb} as bigint) as disk_gb) w
    join agents a on a.public_key = ${agentKey} left join capacities c on c.agent_key = a.public_key
    where ${hasRoom({ now }, sizeOf('w'))}`.execute(trx);
  return rows.length === 1;
}

/** The fullest storage that it fits on: large ones stay free for large disks. Null where the agent names none. */
async function fittingStorage(trx: Transaction, agentKey: string, diskGb: number): Promise<string | null> {
  const { rows } = await sql<{ name: string }>`select name from storage_rooms
    where agent_key = ${agentKey} and room_gb >= ${diskGb} order by room_gb, name limit 1`.execute(trx);
  return rows[0]?.name ?? null;
}

/** The agents of the same provider that state the room of this backend, the agent itself first. */
export async function peersOf(trx: Transaction, agentKey: string, backend: string | null): Promise<string[]> {
  if (backend === null) return [agentKey];
  const rows = await trx
    .selectFrom('capacities as c')
    .innerJoin('agents as a', 'a.public_key', 'c.agent_key')
    .select('c.agent_key')
    .where('c.backend', '=', backend)
    .where('c.agent_key', '<>', agentKey)
    .where('a.provider_pubkey', '=', (query) =>
      query.selectFrom('agents').select('provider_pubkey').where('public_key', '=', agentKey),
    )
    .execute();
  return [agentKey, ...rows.map(({ agent_key }) => agent_key)];
}

async function backendOf(trx: Transaction, agentKey: string): Promise<string | null> {
  const { rows } = await statement<{
    backend: string | null;
  }>`select backend from capacities where agent_key = ${agentKey}`.execute(trx);
  return rows[0]?.backend ?? null;
}

/** `sign` -1 takes, 1 gives back. Where the agent has published nothing, nothing is counted. */
async function changeRoom(trx: Transaction, row: ReservationsTable, sign: 1 | -1): Promise<void> {
  const { agent_key: agentKey, storage, cpu, memory_mb, disk_gb } = row;
  const peers = await peersOf(trx, agentKey, await backendOf(trx, agentKey));
  await sql`update capacities set room_cpu = room_cpu + ${sign * cpu},
    room_memory_mb = room_memory_mb + ${sign * memory_mb}, room_instances = room_instances + ${sign},
    room_addresses = room_addresses + ${sign}, room_port_blocks = room_port_blocks + ${sign}
    where agent_key in (${sql.join(peers)})`.execute(trx);
  if (storage === null) return;
  await sql`update storage_rooms set room_gb = room_gb + ${sign * disk_gb}
    where agent_key in (${sql.join(peers)}) and name = ${storage}`.execute(trx);
}
