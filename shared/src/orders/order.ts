/**
 * Orders: what the coordinator tells an agent to do, signed and bound to contract, agent, epoch and expiry
 * (PROTOCOL.md, "Orders"; invariants I7 and I13).
 */
import type { SigningKey } from '../crypto/ed25519.ts';
import { parseJws, signJws, verifyJws } from '../crypto/jws.ts';
import { parsePublicKey } from '../crypto/public-key.ts';
import { AppError, isAppError } from '../errors.ts';

export const ORDER_TYP = 'dc-order';

/** How long an order may be accepted, in seconds. Longer than any hand-over; the lease limits the work itself. */
export const ORDER_LIFE_S = 300;

export const ORDER_KINDS = [
  'provision',
  'stop',
  'start',
  'destroy',
  'reset_password',
  'rotate_ssh_key',
] as const;
export type OrderKind = (typeof ORDER_KINDS)[number];

/** The most keys that one order names: its boxes, in a record, fit into one compact JWS. */
export const SEAL_TO_MAX = 32;

/** What to build. */
export interface OrderSpec {
  offering_id: string;
  cpu: number;
  memory_mb: number;
  disk_gb: number;
  operating_system: string;
  ssh_public_key: string;
}

/** Whom a new password is sealed to: the account's keys, at least one. The boxes come in the same order. */
export interface ResetPasswordSpec {
  seal_to: string[];
}

/** The renter's key that opens the instance from now on, and the one that does not any more. */
export interface RotateSshKeySpec {
  ssh_public_key: string;
  replaces: string;
}

/** Why an instance must go: the only thing that lets an agent destroy one that it has reported. */
export interface Tombstone {
  contract_id: string;
  /** The terminal state that the contract reached. */
  reason: string;
  /** RFC 3339. */
  at: string;
}

/** The payload of an order. Times are in seconds since the Unix epoch, as in JWT. */
export interface OrderPayload {
  iss: string;
  aud: string;
  sub: string;
  kind: OrderKind;
  epoch: number;
  iat: number;
  /** Until when the agent may accept it. Work that has begun goes on under its lease. */
  exp: number;
  jti: string;
  environment: string;
  spec?: OrderSpec | ResetPasswordSpec | RotateSshKeySpec;
  tombstone?: Tombstone;
  /** With `destroy`, where another agent made the instance, which acts no more; `backend_id`: what it made it on. */
  predecessor?: { agent: string; backend_id: string | null };
}

/** Signs an order. */
export function signOrder(payload: OrderPayload, key: SigningKey): string {
  return signJws(ORDER_TYP, payload, key);
}

/** What an agent holds an order against. */
export interface OrderExpectation {
  /** The coordinator keys that the agent has pinned. */
  coordinatorKeys: readonly string[];
  /** When those of them that were replaced ended or will end, in milliseconds. */
  keyEnds?: ReadonlyMap<string, number>;
  agentKey: string;
  environment: string;
  nowMs: number;
}

/**
 * Reads an order and checks it against what the agent pinned. Throws ORDER_REFUSED, naming what does not fit:
 * form, issuer, signature, audience, environment, time, what it lacks, or a destroy without its tombstone.
 */
export function verifyOrder(compact: string, expected: OrderExpectation): OrderPayload {
  const jws = parseJws(compact);
  if (jws === null) throw refused('it cannot be read');
  if (!expected.coordinatorKeys.includes(jws.kid)) throw refused('it is signed by a key that is not pinned');
  if (!verifyJws(jws, ORDER_TYP)) throw refused('its signature is wrong');
  const order = jws.payload as Partial<OrderPayload> | null;
  if (order === null || typeof order !== 'object') throw refused('it is not an object');
  if (order.iss !== jws.kid) throw refused('its issuer is not its signer');
  if (order.aud !== expected.agentKey) throw refused('it is for another agent');
  if (order.environment !== expected.environment) throw refused('it is for another environment');
  if (!isComplete(order)) throw refused('a member is missing or of the wrong type');
  if (order.exp * 1000 < expected.nowMs) throw refused('it has expired');
  const endsAt = expected.keyEnds?.get(jws.kid) ?? Infinity;
  // The end of acceptance counts too: whoever has stolen an old key could write any other time.
  if (order.iat * 1000 >= endsAt || order.exp * 1000 > endsAt + ORDER_LIFE_S * 1000)
    throw refused('it is signed by a key that was replaced before');
  if (order.kind === 'provision' && !isProvisionSpec(order.spec))
    throw refused('it does not say what to build');
  if (order.kind === 'reset_password' && !isResetSpec(order.spec))
    throw refused('it does not say whom to seal the password to');
  if (order.kind === 'rotate_ssh_key' && !isRotateSpec(order.spec))
    throw refused('it does not say which key takes the place of which');
  if (order.kind === 'destroy' && order.tombstone?.contract_id !== order.sub) {
    throw refused('it destroys without a tombstone for this contract');
  }
  return order;
}

function isComplete(order: Partial<OrderPayload>): order is OrderPayload {
  return (
    typeof order.sub === 'string' &&
    typeof order.jti === 'string' &&
    (ORDER_KINDS as readonly unknown[]).includes(order.kind) &&
    Number.isSafeInteger(order.epoch) &&
    Number.isFinite(order.iat) &&
    Number.isFinite(order.exp)
  );
}

type Spec = OrderPayload['spec'] | null;

/** Whether a spec says what to build. */
export function isProvisionSpec(spec: Spec): spec is OrderSpec {
  const { cpu, memory_mb, disk_gb, offering_id, operating_system, ssh_public_key } = membersOf(spec);
  return (
    [cpu, memory_mb, disk_gb].every((size) => Number.isFinite(size) && (size as number) > 0) &&
    [offering_id, operating_system, ssh_public_key].every((text) => typeof text === 'string')
  );
}

/** Whether a spec says whom to seal a password to: keys that it can be sealed to, each once. */
export function isResetSpec(spec: Spec): spec is ResetPasswordSpec {
  const keys = membersOf(spec)['seal_to'];
  return (
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.length <= SEAL_TO_MAX &&
    new Set(keys).size === keys.length &&
    keys.every(isUsableKey)
  );
}

/** Whether a spec says which key takes the place of which. */
export function isRotateSpec(spec: Spec): spec is RotateSshKeySpec {
  const { ssh_public_key, replaces } = membersOf(spec);
  return typeof ssh_public_key === 'string' && typeof replaces === 'string';
}

const membersOf = (spec: Spec): Record<string, unknown> => ({ ...spec });

function isUsableKey(key: unknown): boolean {
  try {
    return typeof key === 'string' && parsePublicKey(key) === key;
  } catch (error) {
    if (isAppError(error, 'KEY_WEAK')) return false;
    throw error;
  }
}

function refused(why: string): AppError {
  return new AppError('ORDER_REFUSED', `The order was refused: ${why}.`);
}
