/**
 * The SQL of evidence: records verbatim with their checkpoints, the faults of chains, and forks. What every record
 * costs is written as plain SQL: building those queries would take longer than running them.
 */
import { sql, type Selectable, type SqlBool } from 'kysely';
import { CHAIN_START, type RecordKind } from '@dc/shared/evidence/record';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { ChainFaultsTable, RecordsTable } from '../database/tables-spine.ts';

export type RecordRow = Selectable<RecordsTable>;

/** Where a chain stands: the number and hash of its newest record. */
export interface ChainHead {
  seq: number;
  hash: string;
}

/** The head of an agent's chain; seq 0 before its first record. */
export async function findHead(reader: Reader, agentKey: string): Promise<ChainHead> {
  const { rows } = await statement<ChainHead>`
    select seq, hash from records where agent_key = ${agentKey} order by seq desc limit 1`.execute(reader);
  return rows[0] ?? { seq: 0, hash: CHAIN_START };
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
  await statement`
    insert into records
      (agent_key, seq, compact, hash, kind, contract_id, received_at, outcome, code, checkpoint)
    values (${row.agent_key}, ${row.seq}, ${row.compact}, ${row.hash}, ${row.kind}, ${row.contract_id},
      ${row.received_at}, ${row.outcome}, ${row.code}, ${row.checkpoint})`.execute(trx);
}

/** What is known to be wrong with an agent's chain. */
export async function findFaults(reader: Reader, agentKey: string): Promise<ChainFaultsTable> {
  const row = await reader
    .selectFrom('chain_faults')
    .selectAll()
    .where('agent_key', '=', agentKey)
    .executeTakeFirst();
  return row ?? { agent_key: agentKey, gap_from_seq: null, fork_at_seq: null };
}

/** Notes that records are missing from `fromSeq` on. The note goes by itself once they have come: see `summarizeChain`. */
export async function noteGap(trx: Transaction, agentKey: string, fromSeq: number): Promise<void> {
  await trx
    .insertInto('chain_faults')
    .values({ agent_key: agentKey, gap_from_seq: fromSeq, fork_at_seq: null })
    .onConflict((conflict) => conflict.column('agent_key').doUpdateSet({ gap_from_seq: fromSeq }))
    .execute();
}

/** A record that contradicts one we hold. */
export interface Fork {
  hash: string;
  agentKey: string;
  seq: number;
  compact: string;
  at: number;
}

/** Keeps the contradiction verbatim, once, and notes the fork for ever. */
export async function noteFork(trx: Transaction, fork: Fork): Promise<void> {
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
  const { fork_at_seq: known, gap_from_seq } = await findFaults(trx, fork.agentKey);
  const forkAtSeq = Math.min(known ?? fork.seq, fork.seq);
  await trx
    .insertInto('chain_faults')
    .values({ agent_key: fork.agentKey, gap_from_seq, fork_at_seq: forkAtSeq })
    .onConflict((conflict) => conflict.column('agent_key').doUpdateSet({ fork_at_seq: forkAtSeq }))
    .execute();
}

/** An agent's chain as everyone may see it. */
export interface ChainSummary {
  records: number;
  gapFromSeq: number | null;
  forkAtSeq: number | null;
}

/** How many records are held, and what is wrong with them. */
export async function summarizeChain(reader: Reader, agentKey: string): Promise<ChainSummary> {
  const { seq } = await findHead(reader, agentKey);
  const { gap_from_seq, fork_at_seq } = await findFaults(reader, agentKey);
  // A gap that was filled since is none any more.
  const gapFromSeq = gap_from_seq !== null && gap_from_seq > seq ? gap_from_seq : null;
  return { records: seq, gapFromSeq, forkAtSeq: fork_at_seq };
}

/** A slice of an agent's chain, in order. */
export function readChain(reader: Reader, agentKey: string, afterSeq: number, limit: number) {
  return reader
    .selectFrom('records')
    .select(['seq', 'compact', 'checkpoint'])
    .where('agent_key', '=', agentKey)
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

/** One page of a contract's records of one kind. */
export interface ContractRecordsFilter {
  contractId: string;
  kind: RecordKind;
  limit: number;
  /** The last record of the page before. */
  before?: { receivedAt: number; seq: number } | undefined;
}

/** The records of a kind by the contract's own agent, newest first. Anybody's may name the contract. */
export function listContractRecords(
  reader: Reader,
  { contractId, kind, limit, before }: ContractRecordsFilter,
): Promise<RecordRow[]> {
  const query = reader
    .selectFrom('records')
    .selectAll()
    .where('contract_id', '=', contractId)
    .where('kind', '=', kind)
    .where('outcome', '=', 'applied')
    .orderBy('received_at', 'desc')
    .orderBy('seq', 'desc')
    .limit(limit);
  if (before === undefined) return query.execute();
  const { receivedAt, seq } = before;
  return query.where(sql<SqlBool>`(received_at, seq) < (${receivedAt}, ${seq})`).execute();
}
