/**
 * What an agent states of its capacity: signed, so that it can be held against the agent afterwards, and good for a
 * few minutes only, so that nothing is sold by what was true once.
 */
import { createHash } from 'node:crypto';
import { Type, type Static } from 'typebox';
import Value from 'typebox/value';
import type { SigningKey } from '../crypto/ed25519.ts';
import { parseJws, signJws, verifyJws } from '../crypto/jws.ts';
import { closed, nullable, plainText, Timestamp } from '../wire/schema-parts.ts';

export const CAPACITY_TYP = 'dc-capacity';

/** The longest that a statement may be good for: what is older than this says nothing about now. */
export const CAPACITY_LIFE_MS_MAX = 600_000;

const Amount = Type.Number({ minimum: 0, maximum: 1e12 });
const Count = Type.Integer({ minimum: 0, maximum: 1e9 });

/** The payload. All of it is room for more, as the backend was at `seen_at`. */
export const CapacityStatement = closed({
  environment: Type.String({ minLength: 1, maxLength: 64 }),
  /** Two agents of a provider that name the same backend have its room together; null where it has no name. */
  backend: nullable(plainText({ minLength: 1, maxLength: 128 })),
  /** When the agent looked, and until when that may be sold by. */
  seen_at: Timestamp,
  expires_at: Timestamp,
  cpu: Amount,
  memory_mb: Amount,
  instances: Count,
  /** An instance's disk is on one of them, whole. */
  storages: Type.Array(closed({ name: plainText({ minLength: 1, maxLength: 64 }), free_gb: Amount }), {
    minItems: 1,
    maxItems: 50,
  }),
  /** Public addresses, and blocks of forwarded ports; null where the backend does not count them. */
  addresses: nullable(Count),
  port_blocks: nullable(Count),
  /** `hashIncluded` of the contracts that were at the backend then: what they take is not in the room above. */
  includes: Type.String({ pattern: '^[0-9a-f]{64}$' }),
});
export type CapacityStatement = Static<typeof CapacityStatement>;

/** Signs a statement with the agent's key. */
export function signCapacity(statement: CapacityStatement, agentKey: SigningKey): string {
  return signJws(CAPACITY_TYP, statement, agentKey);
}

/** Reads and verifies a statement; null where form, typ or signature is wrong. Does not look at the time. */
export function verifyCapacity(compact: string): { agent: string; statement: CapacityStatement } | null {
  const jws = parseJws(compact);
  if (jws === null || !verifyJws(jws, CAPACITY_TYP)) return null;
  if (!Value.Check(CapacityStatement, jws.payload)) return null;
  return { agent: jws.kid, statement: jws.payload };
}

/** Binds a statement to the list of contracts that came with it, in whatever order. SHA-256 in hex. */
export function hashIncluded(contractIds: readonly string[]): string {
  return createHash('sha256')
    .update([...contractIds].sort().join('\n'))
    .digest('hex');
}
