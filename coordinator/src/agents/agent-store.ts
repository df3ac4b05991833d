/** The SQL of agents: registration, heartbeats, who is online. */
import { sql, type Selectable } from 'kysely';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { AgentsTable } from '../database/tables-spine.ts';

export type AgentRow = Selectable<AgentsTable>;

export async function findAgent(reader: Reader, publicKey: string): Promise<AgentRow | null> {
  return (
    (await reader.selectFrom('agents').selectAll().where('public_key', '=', publicKey).executeTakeFirst()) ??
    null
  );
}

/** What a heartbeat is held against. */
export type KnownAgent = Pick<
  AgentRow,
  | 'public_key'
  | 'last_heartbeat_at'
  | 'first_heartbeat_at'
  | 'draining'
  | 'maintenance_until_at'
  | 'healthy'
  | 'revoked_at'
>;

/** The agent without its large columns: heartbeats come often. */
export async function findKnownAgent(reader: Reader, publicKey: string): Promise<KnownAgent | null> {
  const { rows } = await statement<KnownAgent>`
    select public_key, last_heartbeat_at, first_heartbeat_at, draining, maintenance_until_at, healthy, revoked_at
    from agents where public_key = ${publicKey}`.execute(reader);
  return rows[0] ?? null;
}

export async function insertAgent(trx: Transaction, row: AgentRow): Promise<void> {
  await trx.insertInto('agents').values(row).execute();
}

/** Marks the grant as used by this agent; false where it was used before. */
export async function useGrant(trx: Transaction, setupKey: string, agentKey: string): Promise<boolean> {
  const result = await trx
    .updateTable('grants')
    .set({ used_by: agentKey })
    .where('setup_key', '=', setupKey)
    .where('used_by', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Keeps the newest heartbeat, and the time without one before it. Answers what it changed. */
export async function saveHeartbeat(
  trx: Transaction,
  before: KnownAgent,
  { at, body, offlineAfterMs }: { at: number; body: WireHeartbeat; offlineAfterMs: number },
): Promise<{ isBack: boolean; isHealthyAgain: boolean; hasAnnounced: boolean }> {
  const { public_key: publicKey, last_heartbeat_at: last } = before;
  const after = {
    draining: body.draining === true ? 1 : 0,
    maintenance_until_at: body.maintenance_until === undefined ? null : Date.parse(body.maintenance_until),
    healthy: body.healthy === false ? 0 : 1,
  };
  if (last !== null && last <= at - offlineAfterMs) {
    const row = { agent_key: publicKey, from_at: last, to_at: at };
    await trx
      .insertInto('outages')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  await statement`
    update agents set last_heartbeat_at = ${at}, first_heartbeat_at = ${before.first_heartbeat_at ?? at},
      version = ${body.version}, heartbeat = ${JSON.stringify(body)}, draining = ${after.draining},
      maintenance_until_at = ${after.maintenance_until_at}, healthy = ${after.healthy}
    where public_key = ${publicKey}`.execute(trx);
  const wasAway = before.draining === 1 || (before.maintenance_until_at ?? 0) > at;
  const isAway = after.draining === 1 || (after.maintenance_until_at ?? 0) > at;
  return {
    isBack: wasAway && !isAway,
    isHealthyAgain: before.healthy === 0 && after.healthy === 1,
    hasAnnounced:
      before.draining !== after.draining || before.maintenance_until_at !== after.maintenance_until_at,
  };
}

/** Which of these contracts another agent of the same provider answers for: its instance may be on the same backend. */
export async function listHeldElsewhere(
  reader: Reader,
  agent: { publicKey: string; provider: string },
  contractIds: readonly string[],
): Promise<string[]> {
  if (contractIds.length === 0) return [];
  const rows = await reader
    .selectFrom('contracts')
    .select('id')
    .where('id', 'in', contractIds)
    .where('provider_pubkey', '=', agent.provider)
    .where('place_held', '=', sql.lit(1))
    .where('agent_key', '<>', agent.publicKey)
    .execute();
  return rows.map(({ id }) => id);
}

/** Takes an agent's permissions away, at once; again is a success. Returns false where the provider has no such agent. */
export async function revokeAgent(
  trx: Transaction,
  publicKey: string,
  provider: string,
  at: number,
): Promise<boolean> {
  const result = await trx
    .updateTable('agents')
    .set((agent) => ({ revoked_at: agent.fn.coalesce('revoked_at', sql<number>`${at}`) }))
    .where('public_key', '=', publicKey)
    .where('provider_pubkey', '=', provider)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}
