/** Orders and leases for tests, signed like real ones. */
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { type OrderKind, type OrderPayload, signOrder } from '@dc/shared/orders/order';
import type { JournalOrder, Lease } from '../journal.ts';

export const COORDINATOR_KEY = SigningKey.fromSeed(new Uint8Array(32).fill(1));
export const AGENT_KEY = SigningKey.fromSeed(new Uint8Array(32).fill(2));
/** The renter's account key, and its seed. */
export const RENTER_SEED = new Uint8Array(32).fill(4);
export const RENTER_KEY = SigningKey.fromSeed(RENTER_SEED);
/** The SSH key that instances are made with, and the one that takes its place. */
export const SSH_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDdkL3Vxd2Vxd2Vxd2Vxd2Vxd2Vxd2Vxd2Vxd2Vx';
export const NEXT_SSH_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIERlL3Vxd2Vxd2Vxd2Vxd2Vxd2Vxd2Vxd2Vxd2Vx';
export const CONTRACT_ID = '01976f00-0000-7000-8000-0000000000c1';
export const ENVIRONMENT = 'test';

/** 2026-11-20T12:00:00Z, where ManualClock begins. */
export const NOON = Date.parse('2026-11-20T12:00:00.000Z');

const HOUR_MS = 3_600_000;

interface OrderWish {
  readonly kind?: OrderKind;
  readonly contractId?: string;
  readonly epoch?: number;
  readonly orderId?: string;
  readonly receivedAt?: number;
}

/** An order as the agent keeps it after it has verified it. A destroy has its tombstone, the others a spec. */
export function anOrder(wish: OrderWish = {}): Omit<JournalOrder, 'returned'> {
  const { kind = 'provision', contractId = CONTRACT_ID, epoch = 1, receivedAt = NOON } = wish;
  const orderId = wish.orderId ?? `order-${kind}-${contractId.slice(-4)}`;
  const iat = Math.floor(NOON / 1000);
  const payload: OrderPayload = {
    iss: COORDINATOR_KEY.publicKey,
    aud: AGENT_KEY.publicKey,
    sub: contractId,
    kind,
    epoch,
    iat,
    exp: iat + 300,
    jti: orderId,
    environment: ENVIRONMENT,
    ...(kind === 'destroy'
      ? { tombstone: { contract_id: contractId, reason: 'cancelled', at: new Date(NOON).toISOString() } }
      : {}),
    ...(kind === 'provision'
      ? {
          spec: {
            offering_id: '01976f00-0000-7000-8000-000000000001',
            cpu: 1,
            memory_mb: 512,
            disk_gb: 5,
            operating_system: 'debian-13',
            ssh_public_key: SSH_KEY,
          },
        }
      : {}),
  };
  if (kind === 'reset_password') payload.spec = { seal_to: [RENTER_KEY.publicKey] };
  if (kind === 'rotate_ssh_key') payload.spec = { ssh_public_key: NEXT_SSH_KEY, replaces: SSH_KEY };
  const compact = signOrder(payload, COORDINATOR_KEY);
  return { orderId, contractId, kind, epoch, expiresAt: payload.exp * 1000, receivedAt, compact, payload };
}

/** The lease that comes with an order: ten hours, so that no test runs out of it by accident. */
export function aLease(order: Omit<JournalOrder, 'returned'>, wish: Partial<Lease> = {}): Lease {
  const { contractId, orderId, epoch, receivedAt } = order;
  const expiresAt = receivedAt + 10 * HOUR_MS;
  return { contractId, orderId, epoch, grantedAt: receivedAt, expiresAt, lost: false, ...wish };
}
