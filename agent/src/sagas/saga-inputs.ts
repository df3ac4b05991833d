/** PURE: the inputs of the sagas, made from orders and the journal's view. */
import { AppError } from '@dc/shared/errors';
import {
  isProvisionSpec,
  isResetSpec,
  isRotateSpec,
  type OrderSpec,
  type Tombstone,
} from '@dc/shared/orders/order';
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

export interface ResetPasswordInput {
  readonly handle: Handle;
  readonly ssh: SshAccess;
  /** The renter's account keys, in the order in which the boxes are wanted. */
  readonly sealTo: readonly string[];
}

export interface RotateSshKeyInput {
  readonly handle: Handle;
  readonly ssh: SshAccess;
  readonly sshPublicKey: string;
  readonly replaces: string;
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
  'reset-password': ResetPasswordInput;
  'rotate-ssh-key': RotateSshKeyInput;
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

/** Input for a new password. Throws ORDER_REFUSED where there is nothing to set it in, or nobody to seal it to. */
export function resetPasswordInput(order: JournalOrder, view: ContractView): ResetPasswordInput {
  const { spec } = order.payload;
  if (!isResetSpec(spec)) throw new AppError('ORDER_REFUSED', 'The order names nobody to seal to.');
  return { ...guestOf(view), sealTo: spec.seal_to };
}

/** Input for another key. Throws ORDER_REFUSED where there is nothing to put it into, or no key. */
export function rotateSshKeyInput(order: JournalOrder, view: ContractView): RotateSshKeyInput {
  const { spec } = order.payload;
  if (!isRotateSpec(spec)) throw new AppError('ORDER_REFUSED', 'The order names no key.');
  return { ...guestOf(view), sshPublicKey: spec.ssh_public_key, replaces: spec.replaces };
}

function guestOf({ instance }: ContractView): { handle: Handle; ssh: SshAccess } {
  if (instance?.handle == null || instance.ssh === null)
    throw new AppError('ORDER_REFUSED', 'This agent holds no instance for the contract.');
  return { handle: instance.handle, ssh: instance.ssh };
}
