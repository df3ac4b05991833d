/**
 * Announcements of a new coordinator key: the old key signs what comes after it, and the new key agrees. Each one
 * names the one before, so that whoever pinned any key of the chain can walk to the newest, however long it was away
 * (invariant I13). docs/decisions/key-rotation.md says why.
 */
import type { SigningKey } from '../crypto/ed25519.ts';
import { hashJws, parseJws, signJws, verifyJws } from '../crypto/jws.ts';

export const KEY_ROTATION_TYP = 'dc-key-rotation';
export const KEY_ACCEPTANCE_TYP = 'dc-key-acceptance';

/** `prev` of the first announcement. */
export const ROTATION_START = '0'.repeat(64);

/** What both keys sign. Times are in seconds since the Unix epoch. */
export interface RotationTerms {
  /** The key that is replaced, in hex. */
  iss: string;
  /** The key that comes after it, in hex. */
  next: string;
  environment: string;
  /** 1 for the first rotation. */
  number: number;
  /** SHA-256 of the announcement before, in hex. */
  prev: string;
  iat: number;
  /** From then on the new key signs. Both count until `ends`. */
  starts: number;
  /** From then on nothing new by the old key counts. */
  ends: number;
}

/** An announcement whose signatures were checked. */
export interface KeyRotation extends RotationTerms {
  compact: string;
  hash: string;
}

/** Signs an announcement with both keys: who announces a key must hold it, and it can be followed both ways. */
export function signKeyRotation(
  terms: Omit<RotationTerms, 'iss' | 'next'>,
  old: SigningKey,
  next: SigningKey,
): string {
  const whole: RotationTerms = { ...terms, iss: old.publicKey, next: next.publicKey };
  const acceptance = signJws(KEY_ACCEPTANCE_TYP, whole, next);
  return signJws(KEY_ROTATION_TYP, { ...whole, acceptance }, old);
}

/** Reads an announcement and checks both signatures; null where anything of it is wrong. */
export function verifyKeyRotation(compact: string): KeyRotation | null {
  const jws = parseJws(compact);
  if (jws === null || !verifyJws(jws, KEY_ROTATION_TYP)) return null;
  const { acceptance, ...terms } = (jws.payload ?? {}) as Partial<RotationTerms> & { acceptance?: unknown };
  if (!isWhole(terms) || terms.iss !== jws.kid || terms.next === terms.iss) return null;
  const accepted = typeof acceptance === 'string' ? parseJws(acceptance) : null;
  if (accepted?.kid !== terms.next || !verifyJws(accepted, KEY_ACCEPTANCE_TYP)) return null;
  const agreed = (accepted.payload ?? {}) as Partial<RotationTerms>;
  if (!NAMES.every((name) => agreed[name] === terms[name])) return null;
  return { ...terms, compact, hash: hashJws(compact) };
}

/** A coordinator key that counts. */
export interface PinnedKey {
  key: string;
  /** The announcement that brought it; null for one that was pinned by hand. */
  by: KeyRotation | null;
  /** From when on nothing new by it counts, in milliseconds; null while it has no successor. */
  endsAt: number | null;
}

/**
 * The keys that count for someone who pinned `roots`: those, and every one that the announcements lead to from them.
 * What does not verify, is of another environment, comes from a key that is not pinned or after its end, or
 * contradicts an announcement before it, is passed over: the first successor of a key is its only one.
 */
export function followRotations(
  roots: readonly string[],
  rotations: readonly string[],
  environment: string,
): PinnedKey[] {
  const pins = new Map<string, PinnedKey>(roots.map((key) => [key, { key, by: null, endsAt: null }]));
  for (const compact of rotations) {
    const rotation = verifyKeyRotation(compact);
    const old = rotation === null ? undefined : pins.get(rotation.iss);
    if (rotation?.environment !== environment || old === undefined || old.endsAt !== null) continue;
    const known = pins.get(rotation.next);
    if (known !== undefined && (known.by !== null || known.endsAt !== null)) continue;
    // A link in the middle of the chain names the one before it; the first that we follow may name one we never saw.
    if (old.by !== null && rotation.prev !== old.by.hash) continue;
    old.endsAt = rotation.ends * 1000;
    pins.set(rotation.next, { key: rotation.next, by: rotation, endsAt: null });
  }
  return [...pins.values()];
}

/** When each replaced key ends, in milliseconds: for `verifyOrder` and for receipts. */
export function keyEnds(pins: readonly PinnedKey[]): Map<string, number> {
  return new Map(pins.flatMap(({ key, endsAt }) => (endsAt === null ? [] : [[key, endsAt]])));
}

const NAMES = ['iss', 'next', 'environment', 'number', 'prev', 'iat', 'starts', 'ends'] as const;
const HEX = /^[0-9a-f]{64}$/;

function isWhole(terms: Partial<RotationTerms>): terms is RotationTerms {
  const {
    iss = '',
    next = '',
    environment,
    number = 0,
    prev = '',
    iat = NaN,
    starts = NaN,
    ends = NaN,
  } = terms;
  return (
    Object.keys(terms).length === NAMES.length &&
    [iss, next, prev].every((hex) => HEX.test(hex)) &&
    typeof environment === 'string' &&
    [number, iat, starts, ends].every((count) => Number.isSafeInteger(count)) &&
    number >= 1 &&
    iat <= starts &&
    starts <= ends
  );
}
