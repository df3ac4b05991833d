/**
 * The SQL of proved time: the verified delivery and every health record make spans grow, or end them, in the
 * transaction that takes them in. Plain SQL: every health record pays for it.
 */
import { sql } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { ProvedSpan } from './judge-time.ts';

/** What a record says of a contract's instance. */
export interface Proof {
  contractId: string;
  /** When it was so: by the agent's clock, and never later than the record came. */
  at: number;
  isHealthy: boolean;
  /** Of the record. */
  hash: string;
}

/** Begins the proof of a contract's time: its delivery was verified. */
export async function beginProof(
  trx: Transaction,
  { contractId, at, proofMs }: { contractId: string; at: number; proofMs: number },
): Promise<void> {
  await sql`insert into proved_spans values (${contractId}, ${at}, ${at + proofMs}, null, null)`.execute(trx);
}

/**
 * Takes a record's word: a healthy one prolongs the newest span that it falls into, or begins another; any other one
 * ends it. Before the delivery was verified it proves nothing.
 */
export async function noteProof(trx: Transaction, proof: Proof, proofMs: number): Promise<void> {
  const { contractId, at, isHealthy, hash } = proof;
  if (!isHealthy) {
    await sql`
      update proved_spans set until_at = ${at}
        where contract_id = ${contractId} and until_at > ${at} and from_at <= ${at}`.execute(trx);
    return;
  }
  const { numAffectedRows } = await sql`
    update proved_spans
      set until_at = case when until_at > ${at + proofMs} then until_at else ${at + proofMs} end, last_proof = ${hash}
      where contract_id = ${contractId} and from_at <= ${at} and until_at >= ${at}
        and from_at = (select max(from_at) from proved_spans where contract_id = ${contractId})`.execute(trx);
  if (numAffectedRows === 1n) return;
  await sql`
    insert into proved_spans
      select ${contractId}, ${at}, ${at + proofMs}, ${hash}, ${hash}
      where (select max(until_at) from proved_spans where contract_id = ${contractId}) < ${at}`.execute(trx);
}

/** The spans of contracts that reach past a moment of each, in order. */
export async function findSpans(
  reader: Reader,
  contracts: readonly { contractId: string; pastAt: number }[],
): Promise<Map<string, ProvedSpan[]>> {
  const rows = await reader
    .selectFrom('proved_spans')
    .selectAll()
    .where(
      'contract_id',
      'in',
      contracts.map(({ contractId }) => contractId),
    )
    .orderBy('contract_id')
    .orderBy('from_at')
    .execute();
  const pastAt = new Map(contracts.map((contract) => [contract.contractId, contract.pastAt]));
  const spans = new Map<string, ProvedSpan[]>(contracts.map(({ contractId }) => [contractId, []]));
  rows.forEach((row, index) => {
    const after = rows[index + 1];
    // The last one that is over is kept: it is the proof before a gap.
    const isOver = row.until_at <= (pastAt.get(row.contract_id) ?? 0);
    const nextIsOver =
      after?.contract_id === row.contract_id && after.until_at <= (pastAt.get(row.contract_id) ?? 0);
    if (isOver && nextIsOver) return;
    spans.get(row.contract_id)?.push({
      fromAt: row.from_at,
      untilAt: row.until_at,
      firstProof: row.first_proof,
      lastProof: row.last_proof,
    });
  });
  return spans;
}
