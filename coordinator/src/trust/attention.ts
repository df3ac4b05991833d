/**
 * What a provider has to look at: what its agents cannot go on with, in their own words, and what nobody can be sold.
 * All of it is what somebody said or what the database shows; where an agent is silent, its last words stand.
 */
import Value from 'typebox/value';
import { Explanation } from '@dc/shared/wire/explanation';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireAttention } from '@dc/shared/wire/trust';
import type { Reader } from '../database/database.ts';
import { listOfferings } from '../offerings/offering-store.ts';
import type { Presence } from '../offerings/pool-room.ts';
import { listAgents } from '../offerings/provider-store.ts';

const UNSERVED_SHOWN_MS = 7 * 24 * 3_600_000;
const SHOWN_MAX = 50;

type AgentRow = Awaited<ReturnType<typeof listAgents>>[number];

export async function viewAttention(
  reader: Reader,
  pubkey: string,
  presence: Presence,
): Promise<WireAttention> {
  const agents = (await listAgents(reader, pubkey)).filter(({ revoked_at }) => revoked_at === null);
  return {
    blocked: agents.flatMap(readBlocked),
    destruction_paused: agents.flatMap(readPaused),
    orphans: agents.flatMap(readOrphans),
    unserved_offerings: await listUnservedOfferings(reader, pubkey, presence),
    unserved_contracts: await listUnservedContracts(reader, pubkey, presence.now),
  };
}

/** The last heartbeat, which its schema has seen; nothing where none came. */
function readHeartbeat({ heartbeat }: AgentRow): Record<string, unknown> {
  return heartbeat === null ? {} : (JSON.parse(heartbeat) as Record<string, unknown>);
}

function readBlocked(agent: AgentRow): WireAttention['blocked'] {
  const { blocked = [] } = readHeartbeat(agent);
  const said_at = toTimestamp(agent.last_heartbeat_at ?? 0);
  return (blocked as unknown[]).flatMap((explanation) =>
    Value.Check(Explanation, explanation) ? [{ agent: agent.public_key, said_at, explanation }] : [],
  );
}

/** An agent may say in `capabilities` what it likes: only what has the known form is shown. */
function readCapability(agent: AgentRow, name: string): unknown {
  const { capabilities } = readHeartbeat(agent);
  return typeof capabilities === 'object' && capabilities !== null
    ? (capabilities as Record<string, unknown>)[name]
    : undefined;
}

function readPaused(agent: AgentRow): WireAttention['destruction_paused'] {
  const { waiting, since } = (readCapability(agent, 'destruction_paused') ?? {}) as Record<string, unknown>;
  if (!Number.isSafeInteger(waiting) || !isTime(since)) return [];
  const command = 'dc-agent confirm';
  return [{ agent: agent.public_key, waiting: waiting as number, since, command }];
}

function readOrphans(agent: AgentRow): WireAttention['orphans'] {
  const listed = readCapability(agent, 'orphans');
  const total = readCapability(agent, 'orphans_total');
  if (!Array.isArray(listed) || !Number.isSafeInteger(total)) return [];
  const instances = listed.slice(0, SHOWN_MAX).flatMap((item: unknown) => {
    const { id, contract_id: contract, first_seen_at: seen } = (item ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || !isTime(seen)) return [];
    return [{ id, contract_id: typeof contract === 'string' ? contract : null, first_seen_at: seen }];
  });
  const command = 'dc-agent orphans list';
  return [{ agent: agent.public_key, total: total as number, command, instances }];
}

const isTime = (value: unknown): value is string =>
  typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value));

async function listUnservedOfferings(reader: Reader, provider: string, presence: Presence) {
  const filter = { words: [], provider, inStock: false, limit: SHOWN_MAX };
  const rows = await listOfferings(reader, filter, presence);
  return rows
    .filter(({ stock }) => stock !== 'sold_out')
    .map(({ id, title, stock }) => ({ id, title, out_of_stock: stock }));
}

async function listUnservedContracts(reader: Reader, provider: string, now: number) {
  const rows = await reader
    .selectFrom('contracts')
    .select(['id', 'state', 'state_since_at', 'last_error'])
    .where('provider_pubkey', '=', provider)
    .where('created_at', '>', now - UNSERVED_SHOWN_MS)
    .where('last_error', 'like', '%"OFFERING_UNSERVED"%')
    .orderBy('id', 'desc')
    .limit(SHOWN_MAX)
    .execute();
  return rows.map(({ id, state, state_since_at, last_error }) => ({
    id,
    state,
    since: toTimestamp(state_since_at),
    detail: (JSON.parse(last_error ?? '{}') as { detail?: string }).detail ?? '',
  }));
}
