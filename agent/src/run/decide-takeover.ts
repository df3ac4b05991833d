/**
 * PURE: whether to take an order to destroy what another agent of the pool has made, whose key the provider has
 * revoked. Only that agent's journal knew the instance: what counts here is the seal, and the backend's own name.
 */
import type { OrderPayload } from '@dc/shared/orders/order';
import type { ContractView, ReturnCode } from '../journal/journal.ts';

/** What is known here of the contract's instance. */
export interface Here {
  /** The name of the backend itself; null where its driver knows none. */
  readonly backendId: string | null;
  /** Whether the last look saw something with the contract's seal. */
  readonly isSeen: boolean;
}

/**
 * Why the order goes back; null where it is taken: the instance is here by its seal, or this is the very backend that
 * it was made on, so that a complete list without it proves that it is gone. Nothing on another backend proves
 * nothing.
 */
export function decideTakeover(
  { kind, predecessor }: Pick<OrderPayload, 'kind' | 'predecessor'>,
  view: ContractView | null,
  { backendId, isSeen }: Here,
): { code: ReturnCode; detail: string } | null {
  const isOurs = view !== null && (view.instance !== null || view.sagas.length > 0);
  if (kind !== 'destroy' || predecessor === undefined || isOurs || isSeen) return null;
  if (backendId !== null && predecessor.backend_id === backendId) return null;
  return {
    code: 'unsupported',
    detail: 'Nothing with its seal is at this backend, which is not known to be the one that it was made on.',
  };
}
