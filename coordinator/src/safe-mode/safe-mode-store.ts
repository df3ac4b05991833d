/** The SQL of the safe mode: whether it is on, and the orders that agents hold. */
import { sql } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { HeldOrdersTable, SafeModesTable } from '../database/tables-safe-mode.ts';

export type SafeModeRow = SafeModesTable;
export type HeldOrderRow = HeldOrdersTable;

/** The safe mode that is on; null where none is. Plain SQL: every change of a contract asks. */
export async function findSafeMode(reader: Reader): Promise<SafeModeRow | null> {
  const { rows } = await statement<SafeModeRow>`
    select * from safe_modes where resolved_at is null limit 1`.execute(reader);
  return rows[0] ?? null;
}

/** Turns it on; false where it is on already. */
export async function insertSafeMode(trx: Transaction, row: SafeModeRow): Promise<boolean> {
  if ((await findSafeMode(trx)) !== null) return false;
  await trx.insertInto('safe_modes').values(row).execute();
  return true;
}

/** How far back the databases of earlier safe modes knew: what was lost then may not have been told by everyone. */
export async function oldestKnownUntil(reader: Reader): Promise<number | null> {
  const { rows } = await sql<{ at: number | null }>`select min(known_until_at) as at from safe_modes`.execute(
    reader,
  );
  return rows[0]?.at ?? null;
}

export async function endSafeMode(trx: Transaction, id: string, at: number): Promise<void> {
  await trx.updateTable('safe_modes').set({ resolved_at: at }).where('id', '=', id).execute();
}

/** Keeps what an agent holds; a newer order replaces an older one. */
export async function saveHeldOrder(trx: Transaction, row: HeldOrderRow): Promise<void> {
  await trx
    .insertInto('held_orders')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['agent_key', 'contract_id']).doUpdateSet({
        kind: row.kind,
        epoch: row.epoch,
        compact: row.compact,
        told_at: row.told_at,
      }),
    )
    .execute();
}

/** What agents hold, with what we know of the contract: null where we know none. Told since `since`. */
export function listHeldOrders(reader: Reader, since: number) {
  return reader
    .selectFrom('held_orders as h')
    .leftJoin('contracts as c', 'c.id', 'h.contract_id')
    .select(['h.agent_key', 'h.contract_id', 'h.kind', 'h.epoch', 'h.compact', 'c.state'])
    .select(['c.epoch as known_epoch', 'c.agent_key as bound_to'])
    .where('h.told_at', '>=', since)
    .orderBy('h.contract_id')
    .orderBy('h.epoch')
    .execute();
}

/** Contracts that this agent holds orders for and that we do not know. They are never touched. */
export async function listUnknownContracts(reader: Reader, agentKey: string): Promise<string[]> {
  const rows = await reader
    .selectFrom('held_orders as h')
    .select('h.contract_id')
    .where('h.agent_key', '=', agentKey)
    .where((where) =>
      where.not(
        where.exists(
          where.selectFrom('contracts as c').select('c.id').whereRef('c.id', '=', 'h.contract_id'),
        ),
      ),
    )
    .orderBy('h.contract_id')
    .execute();
  return rows.map((row) => row.contract_id);
}

/** Whether the agent has told us of this order, or of a newer one for that contract. */
export async function wasTold(
  reader: Reader,
  { agentKey, contractId, epoch }: { agentKey: string; contractId: string; epoch: number },
): Promise<boolean> {
  const row = await reader
    .selectFrom('held_orders')
    .select('epoch')
    .where('agent_key', '=', agentKey)
    .where('contract_id', '=', contractId)
    .where('epoch', '>=', epoch)
    .executeTakeFirst();
  return row !== undefined;
}

/** Records that were kept while nothing was acted upon, each chain in order. */
export function listHeldBack(reader: Reader) {
  return reader
    .selectFrom('records')
    .select(['agent_key', 'seq', 'compact', 'contract_id', 'kind'])
    .where('code', '=', sql.lit('COORDINATOR_SAFE_MODE'))
    .orderBy('agent_key')
    .orderBy('seq')
    .execute();
}

/** Notes that an agent has told everything that it holds. */
export async function noteTold(trx: Transaction, agentKey: string, at: number): Promise<void> {
  await sql`insert into held_orders_told (agent_key, told_at) values (${agentKey}, ${at})
    on conflict (agent_key) do update set told_at = excluded.told_at`.execute(trx);
}

/**
 * Agents that may act and have spoken once, and have not told since. Whether they have contracts is not asked: this
 * database may be the one that does not know it.
 */
export async function listSilentAgents(
  reader: Reader,
  { since, now }: { since: number; now: number },
): Promise<string[]> {
  const { rows } = await sql<{ public_key: string }>`
    select public_key from agents a
    where revoked_at is null and last_heartbeat_at is not null and (expires_at is null or expires_at > ${now})
      and not exists (select 1 from held_orders_told t where t.agent_key = a.public_key and t.told_at >= ${since})
    order by public_key`.execute(reader);
  return rows.map((row) => row.public_key);
}

/** The epoch that the contract has reached; null where we do not know it. Plain SQL: every heartbeat asks. */
export async function findEpoch(reader: Reader, contractId: string): Promise<number | null> {
  const { rows } = await statement<{ epoch: number }>`
    select epoch from contracts where id = ${contractId}`.execute(reader);
  return rows[0]?.epoch ?? null;
}

/** Writes down what became of a record that was held back. */
export async function settleRecord(
  trx: Transaction,
  { agent_key, seq }: { agent_key: string; seq: number },
  what: { outcome: string; code: string | null },
): Promise<void> {
  await trx
    .updateTable('records')
    .set(what)
    .where('agent_key', '=', agent_key)
    .where('seq', '=', seq)
    .execute();
}
