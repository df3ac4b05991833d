/**
 * Checks an exported evidence file offline: signatures, sequence, chain and checkpoints (PROTOCOL.md, "Evidence"), also
 * over rotations of the coordinator's key.
 */
import { AppError } from '../errors.ts';
import { guessRecord, type Chain } from './name-broken-line.ts';
import { ReceiptKeys } from './receipt-keys.ts';
import { CHAIN_START, verifyCheckpoint, verifyRecord } from './record.ts';

/** What a verified file holds. */
export interface ChainSummary {
  agents: { agent: string; records: number; checkpoints: number; head: string }[];
  records: number;
  checkpoints: number;
}

/**
 * Verifies the lines of an evidence file, each `{"record":"…"}` or `{"checkpoint":"…"}`, or `{"rotation":"…"}` before
 * them. Throws EVIDENCE_INVALID naming the first line that fails, the record that it is or is about (by its place in
 * the chain, not by what the broken line claims), and why. `coordinatorKey`, when given, is the only key whose
 * checkpoints count, with those that the rotations lead to from it.
 */
export function verifyEvidence(lines: Iterable<string>, coordinatorKey?: string): ChainSummary {
  const receipts = new ReceiptKeys(coordinatorKey);
  const file: OpenFile = { chains: new Map(), receipts, last: undefined, line: '', number: 0 };
  for (const line of lines) {
    file.number += 1;
    file.line = line;
    if (line.trim() === '') continue;
    const entry = parseLine(line);
    if (entry === null) throw fault(file, `the line of ${nameBroken(file)} cannot be read`);
    if (entry.kind === 'record') addRecord(file, entry.compact);
    else if (entry.kind === 'checkpoint') checkCheckpoint(file, entry.compact);
    else if (!receipts.add(entry.compact))
      throw fault(file, 'the announcement of a coordinator key does not verify');
  }
  const agents = [...file.chains].map(([agent, chain]) => ({
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

interface OpenFile {
  chains: Map<string, Chain>;
  receipts: ReceiptKeys;
  /** The agent whose record or checkpoint stood in the line before. */
  last: string | undefined;
  /** The current line and its number, from 1. */
  line: string;
  number: number;
}

interface Line {
  kind: 'record' | 'checkpoint' | 'rotation';
  compact: string;
}

/** Null for anything but an object with one text. A second member would be a place for words that nobody signed. */
function parseLine(line: string): Line | null {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return null; // A line that is not JSON is one of the faults that are looked for; the caller names it.
  }
  if (typeof entry !== 'object' || entry === null) return null;
  const [[kind, compact] = [], ...others] = Object.entries(entry);
  if (kind !== 'record' && kind !== 'checkpoint' && kind !== 'rotation') return null;
  if (typeof compact !== 'string' || others.length > 0) return null;
  return { kind, compact };
}

function addRecord(file: OpenFile, compact: string): void {
  const record = verifyRecord(compact);
  if (record === null) throw fault(file, `${nameBroken(file)} has no valid signature or form`);
  const chain = file.chains.get(record.agent) ?? { hashes: [], checkpoints: 0 };
  file.chains.set(record.agent, chain);
  file.last = record.agent;
  const { seq, prev } = record.payload;
  const name = nameRecord(record.agent, seq);
  if (seq !== chain.hashes.length + 1)
    throw fault(file, `${name} stands where record ${String(chain.hashes.length + 1)} should`);
  if (prev !== (chain.hashes.at(-1) ?? CHAIN_START))
    throw fault(file, `${name} does not link to the record before it`);
  chain.hashes.push(record.hash);
}

function checkCheckpoint(file: OpenFile, compact: string): void {
  const checkpoint = verifyCheckpoint(compact);
  if (checkpoint === null) throw fault(file, `the checkpoint of ${nameBroken(file)} has no valid signature`);
  const { agent, seq, hash, received_at } = checkpoint.payload;
  const objection = file.receipts.objectionTo(checkpoint.coordinator, received_at);
  if (objection !== null) throw fault(file, `the checkpoint of ${nameRecord(agent, seq)} ${objection}`);
  const chain = file.chains.get(agent);
  if (chain?.hashes[seq - 1] !== hash)
    throw fault(file, `the checkpoint of ${nameRecord(agent, seq)} does not match the record`);
  chain.checkpoints += 1;
  file.last = agent;
}

/** Names the record that the current line is, or is about, where it does not verify. */
function nameBroken(file: OpenFile): string {
  const { agent, seq } = guessRecord(file.line, file.chains, file.last);
  return nameRecord(agent, seq);
}

const nameRecord = (agent: string, seq: number): string =>
  `record ${String(seq)}${agent === '' ? '' : ` of agent ${agent.slice(0, 16)}`}`;

function fault(file: OpenFile, why: string): AppError {
  return new AppError('EVIDENCE_INVALID', `Line ${String(file.number)}: ${why}.`);
}
