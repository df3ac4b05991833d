/**
 * What an agent says of its capacity: room for more, as its backend was when the agent last looked, in a statement
 * that it signs, with an expiry. Contracts that were at the backend by then are not in that room.
 */
import type { Selectable } from 'kysely';
import { hashIncluded, verifyCapacity, CAPACITY_LIFE_MS_MAX } from '@dc/shared/evidence/capacity';
import { AppError } from '@dc/shared/errors';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { CapacitiesTable } from '../database/tables-spine.ts';
import { peersOf } from './reservations.ts';

/**
 * An agent that does not name the contracts at its backend looks at least so often: what is older was there. Too long
 * costs a sale for a minute; too short would sell the same room twice.
 */
const SEEN_AFTER_MS = 120_000;
/** How long the numbers of a heartbeat that signs no statement are good for. */
const UNSIGNED_LIFE_MS = 180_000;

/** Whose heartbeat it is, and when it came. */
export interface Speaker {
  agentKey: string;
  environment: string;
  now: number;
}

/** Room as an agent states it. */
interface Stated {
  statement: string | null;
  backend: string | null;
  seenAt: number;
  expiresAt: number;
  cpu: number;
  memoryMb: number;
  instances: number;
  addresses: number | null;
  portBlocks: number | null;
  storages: readonly { name: string; freeGb: number }[];
}

/**
 * Keeps the newest word, or forgets the last one where there is none: nothing is known then. Answers whether there is
 * more room than before. Throws CAPACITY_INVALID for a statement that does not hold.
 */
export async function saveCapacity(
  trx: Transaction,
  speaker: Speaker,
  beat: WireHeartbeat,
): Promise<boolean> {
  const { agentKey } = speaker;
  const { rows } = await statement<Selectable<CapacitiesTable>>`
    select * from capacities where agent_key = ${agentKey}`.execute(trx);
  const [before] = rows;
  // Most heartbeats come between two looks: their statement is the one that is held, with the list that it is bound to.
  if (before !== undefined && before.statement === beat.capacity_statement) return false;
  const stated = readStated(speaker, beat);
  if (stated === null) {
    if (before === undefined) return false;
    await trx.deleteFrom('capacities').where('agent_key', '=', agentKey).execute();
    return true;
  }
  const pending = await notePresent(trx, speaker, { beat, backend: stated.backend });
  const refusedAt = before?.refused_at ?? 0;
  const after: CapacitiesTableRow = {
    agent_key: agentKey,
    statement: stated.statement,
    backend: stated.backend,
    // It had no room when it was asked for it: what it said before that was wrong.
    expires_at: stated.seenAt > refusedAt ? stated.expiresAt : 0,
    refused_at: refusedAt,
    room_cpu: Math.floor(stated.cpu) - sum(pending, 'cpu'),
    room_memory_mb: Math.floor(stated.memoryMb) - sum(pending, 'memory_mb'),
    room_instances: stated.instances - pending.length,
    room_addresses: stated.addresses === null ? null : stated.addresses - pending.length,
    room_port_blocks: stated.portBlocks === null ? null : stated.portBlocks - pending.length,
  };
  await trx
    .insertInto('capacities')
    .values(after)
    .onConflict((conflict) => conflict.column('agent_key').doUpdateSet(after))
    .execute();
  const hasMoreDisk = await saveStorages(trx, agentKey, { stated, pending });
  return hasMoreDisk || before === undefined || isMore(before, after, speaker.now);
}

/** The agent had no room when it was asked for it: nothing is sold by what it said, until it has looked again. */
export async function distrustCapacity(trx: Transaction, agentKey: string, now: number): Promise<void> {
  await trx
    .updateTable('capacities')
    .set({ expires_at: 0, refused_at: now })
    .where('agent_key', '=', agentKey)
    .execute();
}

type CapacitiesTableRow = Omit<CapacitiesTable, 'refused_at'> & { refused_at: number };

function isMore(
  before: Omit<CapacitiesTable, 'refused_at'>,
  after: CapacitiesTableRow,
  now: number,
): boolean {
  const names = [
    'room_cpu',
    'room_memory_mb',
    'room_instances',
    'room_addresses',
    'room_port_blocks',
  ] as const;
  const isBack = before.expires_at <= now && after.expires_at > now;
  return isBack || names.some((name) => (after[name] ?? 0) > (before[name] ?? 0));
}

function readStated(speaker: Speaker, beat: WireHeartbeat): Stated | null {
  if (beat.capacity_statement !== undefined) return readStatement(speaker, beat, beat.capacity_statement);
  const { capacity } = beat;
  if (capacity === undefined) return null;
  return {
    statement: null,
    backend: null,
    seenAt: speaker.now,
    expiresAt: speaker.now + UNSIGNED_LIFE_MS,
    cpu: capacity.cpu,
    memoryMb: capacity.memory_mb,
    instances: capacity.instances,
    addresses: null,
    portBlocks: null,
    storages: [{ name: 'default', freeGb: capacity.disk_gb }],
  };
}

function readStatement(
  { agentKey, environment, now }: Speaker,
  { capacity_includes: includes = [] }: WireHeartbeat,
  compact: string,
): Stated {
  const signed = verifyCapacity(compact);
  if (signed === null) throw invalid('its form or signature is wrong');
  const { agent, statement } = signed;
  const expiresAt = Date.parse(statement.expires_at);
  if (agent !== agentKey) throw invalid('another key signed it');
  if (statement.environment !== environment) throw invalid('it is for another environment');
  if (statement.includes !== hashIncluded(includes))
    throw invalid('capacity_includes is not the list it is bound to');
  if (expiresAt > now + CAPACITY_LIFE_MS_MAX) throw invalid('it would be good for longer than ten minutes');
  return {
    statement: compact,
    backend: statement.backend,
    seenAt: Date.parse(statement.seen_at),
    expiresAt,
    cpu: statement.cpu,
    memoryMb: statement.memory_mb,
    instances: statement.instances,
    addresses: statement.addresses,
    portBlocks: statement.port_blocks,
    storages: statement.storages.map(({ name, free_gb }) => ({ name, freeGb: free_gb })),
  };
}

const invalid = (why: string): AppError =>
  new AppError('CAPACITY_INVALID', `The statement of capacity was refused: ${why}.`);

/** A reservation that the agent's room does not show yet. */
interface Pending {
  contract_id: string;
  storage: string | null;
  cpu: number;
  memory_mb: number;
  disk_gb: number;
}

const sum = (pending: readonly Pending[], size: 'cpu' | 'memory_mb'): number =>
  pending.reduce((total, one) => total + one[size], 0);

/** Notes which of the agent's contracts were at its backend by then, and answers the others. */
async function notePresent(
  trx: Transaction,
  { agentKey, now }: Speaker,
  { beat, backend }: { beat: WireHeartbeat; backend: string | null },
): Promise<Pending[]> {
  const { capacity_includes: includes, running_contracts: running } = beat;
  const named = new Set(includes ?? running);
  const peers = await peersOf(trx, agentKey, backend);
  const rows = await trx
    .selectFrom('reservations as r')
    .innerJoin('contracts as k', 'k.id', 'r.contract_id')
    .select([
      'r.contract_id',
      'r.agent_key',
      'r.storage',
      'r.cpu',
      'r.memory_mb',
      'r.disk_gb',
      'r.included',
      'k.provisioned_at',
    ])
    .where('r.agent_key', 'in', peers)
    .execute();
  const wasThere = ({ contract_id, provisioned_at }: (typeof rows)[number]): boolean =>
    named.has(contract_id) && (includes !== undefined || (provisioned_at ?? Infinity) <= now - SEEN_AFTER_MS);
  for (const included of [0, 1]) {
    const changed = rows.filter(
      (row) => row.agent_key === agentKey && row.included !== included && Number(wasThere(row)) === included,
    );
    for (const { contract_id: id } of changed)
      await trx.updateTable('reservations').set({ included }).where('contract_id', '=', id).execute();
  }
  return rows.filter((row) => !wasThere(row));
}

/** Writes the room of each storage anew. Answers whether one has more than before. */
async function saveStorages(
  trx: Transaction,
  agentKey: string,
  { stated, pending }: { stated: Stated; pending: readonly Pending[] },
): Promise<boolean> {
  const before = await trx
    .selectFrom('storage_rooms')
    .select(['name', 'room_gb'])
    .where('agent_key', '=', agentKey)
    .execute();
  const rooms = new Map<string, number>();
  for (const { name, freeGb } of stated.storages)
    rooms.set(name, (rooms.get(name) ?? 0) + Math.floor(freeGb));
  for (const { contract_id: id, storage, disk_gb } of pending) {
    const name = storage !== null && rooms.has(storage) ? storage : largest(rooms);
    rooms.set(name, (rooms.get(name) ?? 0) - disk_gb);
    if (name !== storage)
      await trx.updateTable('reservations').set({ storage: name }).where('contract_id', '=', id).execute();
  }
  const known = new Map(before.map(({ name, room_gb }) => [name, room_gb]));
  const changed = [...rooms].filter(([name, room]) => known.get(name) !== room);
  for (const [name, room_gb] of changed) {
    await trx
      .insertInto('storage_rooms')
      .values({ agent_key: agentKey, name, room_gb })
      .onConflict((conflict) => conflict.columns(['agent_key', 'name']).doUpdateSet({ room_gb }))
      .execute();
  }
  for (const { name } of before.filter((one) => !rooms.has(one.name)))
    await trx
      .deleteFrom('storage_rooms')
      .where('agent_key', '=', agentKey)
      .where('name', '=', name)
      .execute();
  return changed.some(([name, room]) => room > (known.get(name) ?? 0));
}

/** The storage with the most room: where a contract is that was sold before the agent named its storages. */
function largest(rooms: ReadonlyMap<string, number>): string {
  const [first] = [...rooms].toSorted((a, b) => b[1] - a[1]);
  if (first === undefined) throw new Error('a statement names a storage');
  return first[0];
}
