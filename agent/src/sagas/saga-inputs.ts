/** PURE: the inputs of the sagas, made from orders and the journal's view. */
import { AppError } from '@dc/shared/errors';
import { isProvisionSpec, type OrderSpec, type Tombstone } from '@dc/shared/orders/order';
import type { ContractView, JournalOrder } from '../journal/journal.ts';
import type { Handle, SshAccess } from '../provisioners/provisioner.ts';

export interface ProvisionInput {
  readonly spec: OrderSpec;
}

export interface ReleaseInput {
  readonly tombstone: Tombstone;
  /** The handle in the journal. */
  readonly known: Handle | null;
  /** Whether the journal says that anything was ever begun for the contract. */
  readonly wasBegun: boolean;
}

export interface SwitchInput {
  readonly handle: Handle;
  readonly ssh: SshAccess | null;
}

export interface LeftoverInput {
  /** The token of the saga that was undone. */
  readonly token: string;
}

/** Every saga by name, with its input. */
export interface SagaInputs {
  'provision-instance': ProvisionInput;
  'release-instance': ReleaseInput;
  'stop-instance': SwitchInput;
  'start-instance': SwitchInput;
  'remove-leftover': LeftoverInput;
}
export type SagaName = keyof SagaInputs;

/** Input for making the instance. Throws ORDER_REFUSED for an order that does not say what to build. */
export function provisionInput(order: JournalOrder): ProvisionInput {
  const { spec } = order.payload;
  if (order.kind !== 'provision' || !isProvisionSpec(spec)) {
    throw new AppError('ORDER_REFUSED', 'The order does not say what to build.');
  }
  return { spec };
}

/** Input for destroying. Throws ORDER_REFUSED for anything but a destroy order with a tombstone for this contract (I7). */
export function releaseInput(order: JournalOrder, view: ContractView): ReleaseInput {
  const { tombstone } = order.payload;
  if (order.kind !== 'destroy' || tombstone?.contract_id !== view.contractId) {
    throw new AppError('ORDER_REFUSED', 'Nothing is destroyed without a tombstone for this contract.');
  }
  const wasBegun = view.sagas.some((saga) => saga.name === 'provision-instance');
  return { tombstone, known: view.instance?.handle ?? null, wasBegun };
}
