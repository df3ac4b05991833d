/** The SQL of agents: registration, heartbeats, who is online. */
import { sql, type Selectable } from 'kysely';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { Reader, Transaction } from '../database/database.ts';
import type { AgentsTable } from '../database/tables-spine.ts';

export type AgentRow = Selectable<AgentsTable>;

export async function findAgent(reader: Reader, publicKey: string): Promise<AgentRow | null> {
  return (
    (await reader.selectFrom('agents').selectAll().where('public_key', '=', publicKey).executeTakeFirst()) ??
    null
  );
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

/** Keeps the newest heartbeat. Whether an agent is online follows from its time alone. */
export async function saveHeartbeat(
  trx: Transaction,
  publicKey: string,
  { at, body }: { at: number; body: WireHeartbeat },
): Promise<void> {
  await trx
    .updateTable('agents')
    .set({
      last_heartbeat_at: at,
      version: body.version,
      heartbeat: JSON.stringify(body),
      draining: body.draining === true ? 1 : 0,
      maintenance_until_at: body.maintenance_until === undefined ? null : Date.parse(body.maintenance_until),
    })
    .where('public_key', '=', publicKey)
    .execute();
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
