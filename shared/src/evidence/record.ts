/**
 * Records: what an agent says happened, signed once, numbered without gaps and chained by hash, and the
 * coordinator's checkpoints over them (PROTOCOL.md, "Evidence"; invariant I12).
 */
import type { SigningKey } from '../crypto/ed25519.ts';
import { hashJws, parseJws, signJws, verifyJws, type ParsedJws } from '../crypto/jws.ts';

export const RECORD_TYP = 'dc-record';
export const CHECKPOINT_TYP = 'dc-checkpoint';

/** `prev` of an agent's first record. */
export const CHAIN_START = '0'.repeat(64);

export const RECORD_KINDS = [
  'provisioned',
  'failed',
  'health',
  'password_reset',
  'ssh_key_rotated',
  'stopped',
  'started',
  'destroyed',
  'availability',
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** The contract of a record that is about the agent itself: its `availability`. */
export const NO_CONTRACT = '00000000-0000-0000-0000-000000000000';

/** The payload of a record. */
export interface RecordPayload {
  /** 1 for the agent key's first record, then without gaps. */
  seq: number;
  /** SHA-256 of the previous record's compact form in hex. */
  prev: string;
  /** When it happened, RFC 3339. */
  at: string;
  environment: string;
  kind: RecordKind;
  contract_id: string;
  /** The epoch of the lease under which it was done. */
  epoch: number;
  data: Record<string, unknown>;
}

/** A record whose form has been read. */
export interface ParsedRecord {
  agent: string;
  payload: RecordPayload;
  hash: string;
  compact: string;
}

/** Signs a record. Once only, when the thing happened: the same event signed twice would be a fork. */
export function signRecord(payload: RecordPayload, key: SigningKey): string {
  return signJws(RECORD_TYP, payload, key);
}

/** Reads and verifies a record; null where form, typ or signature is wrong. Says nothing about its place in the chain. */
export function verifyRecord(compact: string): ParsedRecord | null {
  const jws = parseJws(compact);
  if (jws === null || !isRecordPayload(jws.payload) || !verifyJws(jws, RECORD_TYP)) return null;
  return { agent: jws.kid, payload: jws.payload, hash: hashJws(compact), compact };
}

/** The payload of a checkpoint. */
export interface CheckpointPayload {
  agent: string;
  seq: number;
  hash: string;
  received_at: string;
}

/** Signs the coordinator's receipt for a record. */
export function signCheckpoint(payload: CheckpointPayload, key: SigningKey): string {
  return signJws(CHECKPOINT_TYP, payload, key);
}

/** A checkpoint that was read, with the key that its header names. */
export interface Checkpoint {
  coordinator: string;
  payload: CheckpointPayload;
}

/** Reads and verifies a checkpoint; null where form, typ or signature is wrong. */
export function verifyCheckpoint(compact: string): Checkpoint | null {
  const jws = parseJws(compact);
  return jws !== null && verifyJws(jws, CHECKPOINT_TYP) ? checkpointOf(jws) : null;
}

/** Reads a checkpoint that was verified before; null where it is none in form. */
export function readCheckpoint(compact: string): Checkpoint | null {
  const jws = parseJws(compact);
  return jws?.typ === CHECKPOINT_TYP ? checkpointOf(jws) : null;
}

function checkpointOf(jws: ParsedJws): Checkpoint | null {
  const payload = jws.payload as Partial<CheckpointPayload> | null;
  const { agent, seq, hash, received_at } = payload ?? {};
  if (typeof agent !== 'string' || !Number.isSafeInteger(seq) || typeof hash !== 'string') return null;
  if (typeof received_at !== 'string') return null;
  return { coordinator: jws.kid, payload: { agent, seq: seq as number, hash, received_at } };
}

/** Whether a decoded payload has the form of a record: exactly its members, each of its type. */
function isRecordPayload(value: unknown): value is RecordPayload {
  if (typeof value !== 'object' || value === null) return false;
  const { seq, prev, at, environment, kind, contract_id, epoch, data, ...rest } = value as Record<
    string,
    unknown
  >;
  return (
    Object.keys(rest).length === 0 &&
    isCount(seq) &&
    seq > 0 &&
    typeof prev === 'string' &&
    /^[0-9a-f]{64}$/.test(prev) &&
    isTime(at) &&
    isShort(environment) &&
    (RECORD_KINDS as readonly unknown[]).includes(kind) &&
    isShort(contract_id) &&
    isCount(epoch) &&
    typeof data === 'object' &&
    data !== null &&
    !Array.isArray(data)
  );
}

// Date.parse alone would also take "5" or "May".
const isTime = (value: unknown): value is string =>
  typeof value === 'string' &&
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$/.test(value) &&
  !Number.isNaN(Date.parse(value));
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isShort = (value: unknown): value is string =>
  typeof value === 'string' && value.length >= 1 && value.length <= 64;
