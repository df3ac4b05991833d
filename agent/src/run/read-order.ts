/** PURE: turns what the coordinator leased out into an order that may be acted upon, or says why it may not. */
import { AppError } from '@dc/shared/errors';
import { verifyOrder, type OrderExpectation } from '@dc/shared/orders/order';
import type { WireLease } from '@dc/shared/wire/agent';
import type { JournalReader } from '../journal/journal.ts';
import type { LeasedOrder } from '../reconcile/contract-runner.ts';

/**
 * Throws ORDER_REFUSED for an order under an epoch that was used before: epochs only rise (I8), so that whoever reuses
 * one has forgotten what it ordered, as a coordinator does that was restored from an older backup. The very order that
 * is held already is no other one.
 */
export function assertNewEpoch(
  journal: Pick<JournalReader, 'newestEpoch' | 'contract'>,
  { contractId, orderId, epoch }: LeasedOrder['order'],
): void {
  const newest = journal.newestEpoch(contractId);
  if (epoch > newest) return;
  const isHeld = journal
    .contract(contractId)
    ?.orders.some((order) => order.orderId === orderId && order.epoch === epoch);
  if (isHeld === true) return;
  throw new AppError(
    'ORDER_REFUSED',
    `The order was refused: its epoch ${String(epoch)} is not above ${String(newest)}, which was ordered before.`,
    {
      remedy:
        'The coordinator may be a restored backup: its admin finds out with dc-coordinator admin safe-mode.',
    },
  );
}

/** When the lease was asked for: it lasts from then on, on our clock. */
export interface Asked {
  readonly askedAt: number;
}

/**
 * The verified order with its lease. Throws ORDER_REFUSED where the signed order does not verify, or where the
 * lease around it, which nobody signed, says something else than the order.
 */
export function readOrder(wire: WireLease, expected: OrderExpectation, { askedAt }: Asked): LeasedOrder {
  const payload = verifyOrder(wire.order, expected);
  const same =
    payload.jti === wire.order_id &&
    payload.sub === wire.contract_id &&
    payload.kind === wire.kind &&
    payload.epoch === wire.epoch;
  if (!same)
    throw new AppError('ORDER_REFUSED', 'The order was refused: it is not the one that the lease names.');
  const { order_id: orderId, contract_id: contractId, epoch } = wire;
  return {
    order: {
      orderId,
      contractId,
      kind: payload.kind,
      epoch,
      expiresAt: payload.exp * 1000,
      receivedAt: askedAt,
      compact: wire.order,
      payload,
    },
    lease: { contractId, orderId, epoch, grantedAt: askedAt, expiresAt: askedAt + wire.ttl_ms, lost: false },
  };
}
