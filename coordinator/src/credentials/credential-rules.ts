/** Pure decisions about credentials: when they may be changed, for how long they are kept, what is said of it. */
import { AppError } from '@dc/shared/errors';
import type { CredentialKind } from '@dc/shared/wire/contract';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { CredentialChange } from './credential-store.ts';

/** How long a password can be fetched: long enough for a holiday weekend, short enough that few lie about. */
export const PASSWORD_KEPT_MS = 7 * 24 * 3_600_000;

/** What is being changed, in words. */
export const CHANGE_TEXT: Readonly<Record<CredentialKind, { asked: string; done: string }>> = {
  reset_password: { asked: 'A new password was asked for.', done: 'A new password was made.' },
  rotate_ssh_key: {
    asked: 'Another SSH key was asked for.',
    done: 'The SSH key was changed: the new one opens the instance, the old one does not.',
  },
};

/** Throws CONTRACT_STATE unless there is an instance whose credentials can be changed now. */
export function assertChangeable({ state }: ContractRow): void {
  if (state === 'active') return;
  const why =
    state === 'paused'
      ? 'The instance is stopped. Ask again when the contract goes on.'
      : 'Only an active contract has an instance to log in to.';
  throw new AppError('CONTRACT_STATE', `The contract is ${state}. ${why}`);
}

/** The account keys that the boxes of a change are for, in their order. */
export const recipientsOf = ({ seal_to }: Pick<CredentialChange, 'seal_to'>): string[] =>
  JSON.parse(seal_to ?? '[]') as string[];
