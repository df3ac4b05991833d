/** Providers, pools and grants on the wire. */
import type { Selectable } from 'kysely';
import { verifyGrant } from '@dc/shared/delegation/delegation';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireProvider } from '@dc/shared/wire/offering';
import type { Reader } from '../database/database.ts';
import type { AgentsTable } from '../database/tables-spine.ts';
import { summarizeChain } from '../evidence/record-store.ts';
import { findSafeMode, listUnknownContracts } from '../safe-mode/safe-mode-store.ts';
import { viewForAll } from '../safe-mode/view-safe-mode.ts';
import type { Presence } from './pool-room.ts';
import { listAgents, type GrantRow, type PoolRow, type ProviderRow } from './provider-store.ts';

/** The provider with its agents and what their evidence is worth. */
export async function viewProvider(
  reader: Reader,
  row: ProviderRow,
  presence: Presence,
): Promise<WireProvider> {
  const safeMode = await findSafeMode(reader);
  const agents: WireProvider['agents'] = [];
  for (const agent of await listAgents(reader, row.pubkey))
    agents.push(await viewAgent(reader, agent, presence));
  return {
    pubkey: row.pubkey,
    name: row.name,
    auto_accept: row.auto_accept === 1,
    created_at: toTimestamp(row.created_at),
    agents,
    ...(safeMode === null ? {} : { safe_mode: viewForAll(safeMode) }),
  };
}

async function viewAgent(reader: Reader, agent: Selectable<AgentsTable>, presence: Presence) {
  const chain = await summarizeChain(reader, agent.public_key);
  const unknown = (await listUnknownContracts(reader, agent.public_key)).length;
  return {
    public_key: agent.public_key,
    label: agent.label,
    pool_id: agent.pool_id,
    online: isOnline(agent, presence),
    last_heartbeat_at: agent.last_heartbeat_at === null ? null : toTimestamp(agent.last_heartbeat_at),
    version: agent.version,
    draining: agent.draining === 1,
    healthy: agent.healthy === 1,
    maintenance_until: maintenanceUntil(agent, presence.now),
    evidence: { records: chain.records, gap_from_seq: chain.gapFromSeq, fork_at_seq: chain.forkAtSeq },
    ...(unknown === 0 ? {} : { unknown_contracts: unknown }),
  };
}

/** Until when the agent said that it is being worked on; null where that is over. */
function maintenanceUntil(
  { maintenance_until_at: until }: Selectable<AgentsTable>,
  now: number,
): string | null {
  return until !== null && until > now ? toTimestamp(until) : null;
}

/** A matter of the last heartbeat and of nothing else (I16), for an agent that may still act. */
function isOnline(agent: Selectable<AgentsTable>, { now, offlineAfterMs }: Presence): boolean {
  if (agent.revoked_at !== null || (agent.expires_at !== null && agent.expires_at <= now)) return false;
  return agent.last_heartbeat_at !== null && agent.last_heartbeat_at > now - offlineAfterMs;
}

export function viewPool(row: Pick<PoolRow, 'id' | 'name' | 'country' | 'created_at'>) {
  return { id: row.id, name: row.name, country: row.country, created_at: toTimestamp(row.created_at) };
}

/** What a setup token may do, with the grant itself, so that the agent can check it. */
export function viewGrant(row: GrantRow) {
  return {
    grant: row.grant_jws,
    setup_key: row.setup_key,
    provider_pubkey: row.provider_pubkey,
    pool_id: row.pool_id,
    permissions: verifyGrant(row.grant_jws).permissions,
    expires_at: toTimestamp(row.expires_at),
    used: row.used_by !== null,
  };
}
