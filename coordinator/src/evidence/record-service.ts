/**
 * Takes an agent's records in: each is verified, put in its place in the chain, kept verbatim and, where it fits the
 * state of things, acted on. Keeping and acting are two things: a record that changes nothing stays in the chain all
 * the same, so that nothing behind it waits (PROTOCOL.md, "Evidence").
 */
import { AppError } from '@dc/shared/errors';
import { CHAIN_START, signCheckpoint, verifyRecord, type ParsedRecord } from '@dc/shared/evidence/record';
import type { WireRecordResult } from '@dc/shared/wire/agent';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import type { AgentPrincipal } from '../http/principal.ts';
import { applyRecord } from './apply-record.ts';
import {
  findChain,
  findRecord,
  insertCheckpoint,
  insertFork,
  insertRecord,
  saveChain,
  type ChainRow,
} from './record-store.ts';

/** The answer to a batch. */
export interface RecordsTaken {
  results: WireRecordResult[];
  /** Signed for the last record of the batch. */
  checkpoint: string;
}

/** Reads and verifies records, before any transaction. Throws RECORD_INVALID naming the first that does not verify. */
export function parseRecords(compacts: readonly string[]): ParsedRecord[] {
  return compacts.map(
    (compact, index) => verifyRecord(compact) ?? fail(index, 'its form or signature is wrong'),
  );
}

function fail(index: number, why: string): never {
  throw new AppError('RECORD_INVALID', `Record ${String(index + 1)} of the request was refused: ${why}.`);
}

/** Either every record of the batch has its place, or the error that must stop the agent, to be committed with its proof. */
export type TakeOutcome = { taken: RecordsTaken } | { refused: AppError };

/**
 * Takes records in order. A gap (RECORD_GAP, with `expected_seq`) or a fork (RECORD_FORK) is noted for everyone who
 * looks at the provider, so it is returned, not thrown: the transaction must commit. What was taken before it stays.
 */
export async function takeRecords(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  records: readonly ParsedRecord[],
): Promise<TakeOutcome> {
  records.forEach((record, index) => {
    if (record.agent !== agent.publicKey) fail(index, 'another key signed it');
  });
  const now = context.clock.now();
  const known = await findChain(trx, agent.publicKey);
  const chain: ChainRow = known ?? {
    agent_key: agent.publicKey,
    seq: 0,
    head: CHAIN_START,
    gap_from_seq: null,
    fork_at_seq: null,
  };
  const results: WireRecordResult[] = [];
  let refused: AppError | null = null;
  for (const record of records) {
    const taken = await takeOne(context, trx, agent, { record, chain, now });
    if (taken instanceof AppError) {
      refused = taken;
      break;
    }
    results.push(taken);
  }
  await saveChain(trx, chain, known === null);
  if (refused !== null) return { refused };
  const last = records.at(-1);
  if (last === undefined) throw new Error('a batch has at least one record');
  const checkpoint = signCheckpoint(
    {
      agent: agent.publicKey,
      seq: last.payload.seq,
      hash: last.hash,
      received_at: new Date(now).toISOString(),
    },
    context.key,
  );
  await insertCheckpoint(trx, agent.publicKey, last.payload.seq, checkpoint);
  return { taken: { results, checkpoint } };
}

async function takeOne(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  item: { record: ParsedRecord; chain: ChainRow; now: number },
): Promise<WireRecordResult | AppError> {
  const { record, chain, now } = item;
  const { seq, prev } = record.payload;
  if (seq <= chain.seq) return repeated(trx, agent, record, chain, now);
  if (seq > chain.seq + 1) {
    chain.gap_from_seq = chain.seq + 1;
    return new AppError(
      'RECORD_GAP',
      `Record ${String(seq)} came, but the next one is ${String(chain.seq + 1)}.`,
      {
        extra: { expected_seq: chain.seq + 1 },
      },
    );
  }
  if (prev !== chain.head) return fork(trx, agent, record, chain, now);
  const result = await applyRecord(context, trx, agent, record.payload);
  await insertRecord(trx, {
    agent_key: agent.publicKey,
    seq,
    compact: record.compact,
    hash: record.hash,
    kind: record.payload.kind,
    contract_id: record.payload.contract_id,
    received_at: now,
    outcome: result.outcome,
    code: result.code ?? null,
  });
  chain.seq = seq;
  chain.head = record.hash;
  if (chain.gap_from_seq !== null && seq >= chain.gap_from_seq) chain.gap_from_seq = null;
  return { seq, ...result };
}

/** A record whose number we hold: the same one is a success, another one a fork. */
async function repeated(
  trx: Transaction,
  agent: AgentPrincipal,
  record: ParsedRecord,
  chain: ChainRow,
  now: number,
): Promise<WireRecordResult | AppError> {
  const { seq } = record.payload;
  const held = await findRecord(trx, agent.publicKey, seq);
  if (held?.hash !== record.hash) return fork(trx, agent, record, chain, now);
  if (held.outcome === 'not_applied')
    return { seq, outcome: 'not_applied', ...(held.code === null ? {} : { code: held.code }) };
  return { seq, outcome: 'already_applied' };
}

async function fork(
  trx: Transaction,
  agent: AgentPrincipal,
  record: ParsedRecord,
  chain: ChainRow,
  now: number,
): Promise<AppError> {
  const { seq } = record.payload;
  await insertFork(trx, {
    hash: record.hash,
    agentKey: agent.publicKey,
    seq,
    compact: record.compact,
    at: now,
  });
  chain.fork_at_seq = Math.min(chain.fork_at_seq ?? seq, seq);
  return new AppError(
    'RECORD_FORK',
    `Record ${String(seq)} does not continue the chain that is held for this key.`,
  );
}
