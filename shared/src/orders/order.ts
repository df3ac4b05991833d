/**
 * Orders: what the coordinator tells an agent to do, signed and bound to contract, agent, epoch and expiry
 * (PROTOCOL.md, "Orders"; invariants I7 and I13).
 */
import type { SigningKey } from '../crypto/ed25519.ts';
import { parseJws, signJws, verifyJws } from '../crypto/jws.ts';
import { AppError } from '../errors.ts';

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

/** What to build. */
export interface OrderSpec {
  offering_id: string;
  cpu: number;
  memory_mb: number;
  disk_gb: number;
  operating_system: string;
  ssh_public_key: string;
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
  spec?: OrderSpec;
  tombstone?: Tombstone;
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
 * form, issuer, signature, audience, environment, time, or a destroy without its tombstone.
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
  if (order.kind === 'provision' && !isSpec(order.spec)) throw refused('it does not say what to build');
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

function isSpec(spec: Partial<OrderSpec> | null | undefined): spec is OrderSpec {
  return (
    typeof spec === 'object' &&
    spec !== null &&
    [spec.cpu, spec.memory_mb, spec.disk_gb].every((size) => Number.isFinite(size) && (size as number) > 0) &&
    [spec.offering_id, spec.operating_system, spec.ssh_public_key].every((text) => typeof text === 'string')
  );
}

function refused(why: string): AppError {
  return new AppError('ORDER_REFUSED', `The order was refused: ${why}.`);
}
