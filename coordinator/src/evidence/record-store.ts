/** The SQL of evidence: records verbatim, checkpoints, where each chain stands, and forks. */
import type { Selectable } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { ChainsTable, RecordsTable } from '../database/tables-spine.ts';

export type RecordRow = Selectable<RecordsTable>;
export type ChainRow = Selectable<ChainsTable>;

export async function findChain(reader: Reader, agentKey: string): Promise<ChainRow | null> {
  return (
    (await reader.selectFrom('chains').selectAll().where('agent_key', '=', agentKey).executeTakeFirst()) ??
    null
  );
}

/** Writes where the chain stands. */
export async function saveChain(trx: Transaction, chain: ChainRow, isNew: boolean): Promise<void> {
  if (isNew) await trx.insertInto('chains').values(chain).execute();
  else await trx.updateTable('chains').set(chain).where('agent_key', '=', chain.agent_key).execute();
}

export async function findRecord(reader: Reader, agentKey: string, seq: number): Promise<RecordRow | null> {
  const query = reader
    .selectFrom('records')
    .selectAll()
    .where('agent_key', '=', agentKey)
    .where('seq', '=', seq);
  return (await query.executeTakeFirst()) ?? null;
}

export async function insertRecord(trx: Transaction, row: RecordRow): Promise<void> {
  await trx.insertInto('records').values(row).execute();
}

export async function insertCheckpoint(
  trx: Transaction,
  agentKey: string,
  seq: number,
  compact: string,
): Promise<void> {
  await trx
    .insertInto('checkpoints')
    .values({ agent_key: agentKey, seq, compact })
    .onConflict((conflict) => conflict.columns(['agent_key', 'seq']).doNothing())
    .execute();
}

/** Keeps a record that contradicts one we hold, once. */
export async function insertFork(
  trx: Transaction,
  fork: { hash: string; agentKey: string; seq: number; compact: string; at: number },
): Promise<void> {
  await trx
    .insertInto('forks')
    .values({
      hash: fork.hash,
      agent_key: fork.agentKey,
      seq: fork.seq,
      compact: fork.compact,
      received_at: fork.at,
    })
    .onConflict((conflict) => conflict.column('hash').doNothing())
    .execute();
}

/** A slice of an agent's chain with the checkpoints in it, in order. */
export async function readChain(reader: Reader, agentKey: string, afterSeq: number, limit: number) {
  return reader
    .selectFrom('records')
    .leftJoin('checkpoints', (join) =>
      join
        .onRef('checkpoints.agent_key', '=', 'records.agent_key')
        .onRef('checkpoints.seq', '=', 'records.seq'),
    )
    .select(['records.seq', 'records.compact as record', 'checkpoints.compact as checkpoint'])
    .where('records.agent_key', '=', agentKey)
    .where('records.seq', '>', afterSeq)
    .orderBy('records.seq')
    .limit(limit)
    .execute();
}

/** The newest records of a kind for a contract, newest first. */
export function listContractRecords(
  reader: Reader,
  contractId: string,
  kind: string,
  limit: number,
): Promise<RecordRow[]> {
  return reader
    .selectFrom('records')
    .selectAll()
    .where('contract_id', '=', contractId)
    .where('kind', '=', kind)
    .orderBy('received_at', 'desc')
    .limit(limit)
    .execute();
}
