/** Checks an exported evidence file offline: signatures, sequence, chain and checkpoints (PROTOCOL.md, "Evidence"). */
import { parseJws } from '../crypto/jws.ts';
import { AppError } from '../errors.ts';
import { CHAIN_START, verifyCheckpoint, verifyRecord } from './record.ts';

/** One line of `GET /providers/{pubkey}/evidence`. */
export interface EvidenceLine {
  record?: string;
  checkpoint?: string;
}

/** What a verified file holds. */
export interface ChainSummary {
  agents: { agent: string; records: number; checkpoints: number; head: string }[];
  records: number;
  checkpoints: number;
}

/**
 * Verifies the lines of an evidence file. Throws EVIDENCE_INVALID naming the first line that fails: the record by
 * agent and sequence number where these can be read, and why. `coordinatorKey`, when given, is the only key whose
 * checkpoints count.
 */
export function verifyEvidence(lines: Iterable<string>, coordinatorKey?: string): ChainSummary {
  const chains = new Map<string, Chain>();
  let number = 0;
  for (const line of lines) {
    number += 1;
    if (line.trim() === '') continue;
    const entry = parseLine(line, number);
    if (entry.record !== undefined) addRecord(chains, entry.record, number);
    else if (entry.checkpoint !== undefined)
      checkCheckpoint(chains, entry.checkpoint, number, coordinatorKey);
    else throw fault(number, 'it holds neither a record nor a checkpoint');
  }
  const agents = [...chains].map(([agent, chain]) => ({
    agent,
    records: chain.hashes.length,
    checkpoints: chain.checkpoints,
    head: chain.hashes.at(-1) ?? CHAIN_START,
  }));
  return {
    agents,
    records: agents.reduce((sum, chain) => sum + chain.records, 0),
    checkpoints: agents.reduce((sum, chain) => sum + chain.checkpoints, 0),
  };
}

interface Chain {
  /** Hash of record `seq` at index `seq - 1`. */
  hashes: string[];
  checkpoints: number;
}

function addRecord(chains: Map<string, Chain>, compact: string, number: number): void {
  const record = verifyRecord(compact);
  if (record === null)
    throw fault(number, `${nameBrokenRecord(chains, compact)} has no valid signature or form`);
  const chain = chains.get(record.agent) ?? { hashes: [], checkpoints: 0 };
  chains.set(record.agent, chain);
  const { seq, prev } = record.payload;
  const name = nameRecord(record.agent, seq);
  if (seq !== chain.hashes.length + 1)
    throw fault(number, `${name} stands where record ${String(chain.hashes.length + 1)} should`);
  if (prev !== (chain.hashes.at(-1) ?? CHAIN_START))
    throw fault(number, `${name} does not link to the record before it`);
  chain.hashes.push(record.hash);
}

/** Names a record that does not verify: by what it claims where that can be read, else by the one before it. */
function nameBrokenRecord(chains: Map<string, Chain>, compact: string): string {
  const jws = parseJws(compact);
  const seq = (jws?.payload as { seq?: unknown } | null | undefined)?.seq;
  if (jws !== null && typeof seq === 'number') return nameRecord(jws.kid, seq);
  const [agent, chain] = [...chains].at(-1) ?? [];
  if (agent === undefined || chain === undefined) return 'record 1';
  return nameRecord(agent, chain.hashes.length + 1);
}

const nameRecord = (agent: string, seq: number): string =>
  `record ${String(seq)} of agent ${agent.slice(0, 16)}`;

function checkCheckpoint(
  chains: Map<string, Chain>,
  compact: string,
  number: number,
  coordinatorKey?: string,
): void {
  const checkpoint = verifyCheckpoint(compact);
  if (checkpoint === null) throw fault(number, 'the checkpoint has no valid signature');
  if (coordinatorKey !== undefined && checkpoint.coordinator !== coordinatorKey) {
    throw fault(number, 'the checkpoint is signed by another coordinator');
  }
  const { agent, seq, hash } = checkpoint.payload;
  const chain = chains.get(agent);
  if (chain?.hashes[seq - 1] !== hash) {
    throw fault(
      number,
      `the checkpoint of record ${String(seq)} of agent ${agent.slice(0, 16)} does not match the record`,
    );
  }
  chain.checkpoints += 1;
}

function parseLine(line: string, number: number): EvidenceLine {
  try {
    return JSON.parse(line) as EvidenceLine;
  } catch (error) {
    throw fault(number, 'it is not JSON', error);
  }
}

function fault(number: number, why: string, cause?: unknown): AppError {
  return new AppError('EVIDENCE_INVALID', `Line ${String(number)}: ${why}.`, { cause });
}
