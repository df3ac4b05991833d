/**
 * Takes an agent's records in: each is verified, put in its place in the chain, kept verbatim and, where it fits the
 * state of things, acted on. Keeping and acting are two things: a record that changes nothing stays in the chain all
 * the same, so that nothing behind it waits (PROTOCOL.md, "Evidence").
 */
import { AppError } from '@dc/shared/errors';
import { parseJws } from '@dc/shared/crypto/jws';
import { signCheckpoint, verifyRecord, type ParsedRecord } from '@dc/shared/evidence/record';
import type { WireRecordResult } from '@dc/shared/wire/agent';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import type { AgentPrincipal } from '../http/principal.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { noteProof } from '../payments/proof-store.ts';
import { applyRecord } from './apply-record.ts';
import { findHead, findRecord, insertRecord, noteFork, noteGap, type ChainHead } from './record-store.ts';

/** The answer to a batch. */
export interface RecordsTaken {
  results: WireRecordResult[];
  /** Signed for the last record of the batch. */
  checkpoint: string;
}

/**
 * Reads and verifies records of `signer`, before any transaction. Throws RECORD_INVALID naming the first that is
 * another key's, and, only where all are the signer's, the first that does not verify.
 */
export function parseRecords(compacts: readonly string[], signer: string | null): ParsedRecord[] {
  assertSignedBy(compacts, signer);
  return compacts.map(
    (compact, index) => verifyRecord(compact) ?? fail(index, 'its form or signature is wrong'),
  );
}

/** Looks at headers only. Records of one key have one header, so that a batch costs one look. */
function assertSignedBy(compacts: readonly string[], signer: string | null): void {
  let own = '';
  compacts.forEach((compact, index) => {
    const header = compact.slice(0, compact.indexOf('.') + 1);
    if (header === own) return;
    const jws = parseJws(compact);
    if (jws === null) fail(index, 'its form or signature is wrong');
    if (jws.kid !== signer) fail(index, 'another key signed it');
    own = header;
  });
}

function fail(index: number, why: string): never {
  throw new AppError('RECORD_INVALID', `Record ${String(index + 1)} of the request was refused: ${why}.`);
}

/** Either every record of the batch has its place, or the error that must stop the agent, to be committed with its proof. */
export type TakeOutcome = { taken: RecordsTaken } | { refused: AppError };

/**
 * Takes records of `agent`, which `parseRecords` has seen to, in order. A gap (RECORD_GAP, with `expected_seq`) or a
 * fork (RECORD_FORK) is noted for everyone who looks at the provider, so it is returned, not thrown: the transaction
 * must commit. What was taken before it stays.
 */
export async function takeRecords(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  records: readonly ParsedRecord[],
): Promise<TakeOutcome> {
  const last = records.at(-1);
  if (last === undefined) throw new Error('a batch has at least one record');
  const now = context.clock.now();
  const checkpoint = signCheckpoint(
    {
      agent: agent.publicKey,
      seq: last.payload.seq,
      hash: last.hash,
      received_at: toTimestamp(now),
    },
    context.key,
  );
  const head = await findHead(trx, agent.publicKey);
  const isActing = (await findSafeMode(trx)) === null;
  const intake: Intake = { context, trx, agent, now, head, isActing };
  const results: WireRecordResult[] = [];
  for (const record of records) {
    const taken = await takeOne(intake, record, record === last ? checkpoint : null);
    if (taken instanceof AppError) return { refused: taken };
    results.push(taken);
  }
  return { taken: { results, checkpoint } };
}

const HELD_BACK = { outcome: 'not_applied', code: 'COORDINATOR_SAFE_MODE' } as const;

interface Intake {
  context: Context;
  trx: Transaction;
  agent: AgentPrincipal;
  now: number;
  /** False in a safe mode: records are kept, and acted upon when it is resolved. */
  isActing: boolean;
  /** Moves on with every record that is kept. */
  head: ChainHead;
}

async function takeOne(
  intake: Intake,
  record: ParsedRecord,
  checkpoint: string | null,
): Promise<WireRecordResult | AppError> {
  const { context, trx, agent, head } = intake;
  const { seq, prev, kind, contract_id } = record.payload;
  if (seq <= head.seq) return repeated(intake, record);
  if (seq > head.seq + 1) {
    const expected = head.seq + 1;
    await noteGap(trx, agent.publicKey, expected);
    return new AppError(
      'RECORD_GAP',
      `Record ${String(seq)} came, but the next one is ${String(expected)}.`,
      { extra: { expected_seq: expected } },
    );
  }
  if (prev !== head.hash) return fork(intake, record);
  const result = intake.isActing ? await applyRecord(context, trx, agent, record.payload) : HELD_BACK;
  await insertRecord(trx, {
    agent_key: agent.publicKey,
    seq,
    compact: record.compact,
    hash: record.hash,
    kind,
    contract_id,
    received_at: intake.now,
    outcome: result.outcome,
    code: result.code ?? null,
    checkpoint,
  });
  if (kind === 'health' && result.outcome === 'applied') await proveTime(intake, record);
  intake.head = { seq, hash: record.hash };
  return { seq, ...result };
}

/** What the record says of the instance is what its time is paid by. An agent's clock may be ahead; time is not. */
async function proveTime({ context, trx, now }: Intake, { payload, hash }: ParsedRecord): Promise<void> {
  const proof = {
    contractId: payload.contract_id,
    at: Math.min(Date.parse(payload.at), now),
    isHealthy: payload.data.status === 'healthy',
    hash,
  };
  await noteProof(trx, proof, context.config.earning.proofMs);
}

/** A record whose number we hold: the same one is a success, another one a fork. */
async function repeated(intake: Intake, record: ParsedRecord): Promise<WireRecordResult | AppError> {
  const { seq } = record.payload;
  const held = await findRecord(intake.trx, intake.agent.publicKey, seq);
  if (held?.hash !== record.hash) return fork(intake, record);
  if (held.outcome !== 'not_applied') return { seq, outcome: 'already_applied' };
  return { seq, outcome: 'not_applied', ...(held.code === null ? {} : { code: held.code }) };
}

async function fork({ trx, agent, now }: Intake, record: ParsedRecord): Promise<AppError> {
  const { seq } = record.payload;
  await noteFork(trx, {
    hash: record.hash,
    agentKey: agent.publicKey,
    seq,
    compact: record.compact,
    at: now,
  });
  return new AppError(
    'RECORD_FORK',
    `Record ${String(seq)} does not continue the chain that is held for this key.`,
  );
}
