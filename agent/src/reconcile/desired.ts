/** PURE: what the coordinator wants of a contract's instance, from the orders in the journal. */
import type { OrderKind } from '@dc/shared/orders/order';
import type { ContractView, JournalOrder } from '../journal/journal.ts';
import type { SagaName } from '../sagas/saga-inputs.ts';

/** What is wanted, and the order that says so. */
export type Desired = { readonly state: 'none' } | Wanted;

/** A wish that an order stands for. */
export interface Wanted {
  readonly state: 'running' | 'stopped' | 'absent';
  readonly order: JournalOrder;
  readonly isAnswered: boolean;
}

/** The saga that answers an order. */
export const SAGA_OF_ORDER: Readonly<Record<OrderKind, SagaName>> = {
  provision: 'provision-instance',
  start: 'start-instance',
  stop: 'stop-instance',
  destroy: 'release-instance',
  reset_password: 'reset-password',
  rotate_ssh_key: 'rotate-ssh-key',
};

const STATE_OF_ORDER = {
  provision: 'running',
  start: 'running',
  stop: 'stopped',
  destroy: 'absent',
} as const;

/**
 * What is wanted now. A destroy order is never outdone by a later one: what is gone is not built again. Otherwise
 * the highest epoch counts, in whatever order the orders came.
 */
export function desiredOf(view: ContractView): Desired {
  const wanted = view.orders.flatMap((order) => {
    if (order.returned !== null || !(order.kind in STATE_OF_ORDER)) return [];
    return [{ state: STATE_OF_ORDER[order.kind as keyof typeof STATE_OF_ORDER], order }];
  });
  const absent = wanted.filter(({ state }) => state === 'absent');
  const [newest] = (absent.length > 0 ? absent : wanted).toSorted((a, b) => b.order.epoch - a.order.epoch);
  if (newest === undefined) return { state: 'none' };
  return { ...newest, isAnswered: isAnswered(view, newest.order) };
}

/**
 * The order to change the password or the key that is to be carried out now. Only the newest order of all counts:
 * whatever came after it (a stop, a tombstone, the same wish again) means that this one was withdrawn.
 */
export function changeOrderOf(view: ContractView): JournalOrder | null {
  const newest = newestOrderOf(view);
  const isChange = newest?.kind === 'reset_password' || newest?.kind === 'rotate_ssh_key';
  return isChange && newest.returned === null && !isAnswered(view, newest) ? newest : null;
}

/** The order with the highest epoch; null where there is none. */
export function newestOrderOf({ orders }: ContractView): JournalOrder | null {
  return orders.reduce<JournalOrder | null>(
    (newest, order) => (newest === null || order.epoch > newest.epoch ? order : newest),
    null,
  );
}

/** Whether a saga has reported on this order, or on a later lease of the same work. */
export function isAnswered(view: ContractView, order: JournalOrder): boolean {
  const name = SAGA_OF_ORDER[order.kind];
  return view.sagas.some((saga) => saga.name === name && (saga.finished?.epoch ?? -1) >= order.epoch);
}
