/** PURE: how a saga's end answers the orders of its contract. */
import type { ContractView, JournalOrder, SagaView } from '../journal/journal.ts';

/** The orders of the same kind as the one that the saga was started for: leased again, it is still the same work. */
export function ordersOf(view: ContractView, saga: Pick<SagaView, 'orderId'>): JournalOrder[] {
  const kind = view.orders.find((order) => order.orderId === saga.orderId)?.kind;
  return view.orders.filter((order) => order.kind === kind);
}

/** The epoch that a saga reports under: the newest one that its work was ordered with. */
export function reportEpoch(view: ContractView, saga: Pick<SagaView, 'orderId'>): number {
  return Math.max(...ordersOf(view, saga).map((order) => order.epoch));
}

/**
 * Whether the journal proves that nothing was ever made for the contract: no saga of it but `except` got further
 * than a refusal at its first call.
 */
export function hasMadeNothing(view: ContractView, except: string | null): boolean {
  return (
    view.instance === null &&
    view.sagas.every((saga) => saga.sagaId === except || saga.finished?.outcome === 'declined')
  );
}
