/** Pure decisions about credentials: when they may be changed, and what of an agent's report is believed. */
import { AppError, ERRORS } from '@dc/shared/errors';
import type { SealedBox } from '@dc/shared/crypto/sealed-box';
import { PASSWORD_PROOFS, type CredentialKind, type PasswordProof } from '@dc/shared/wire/contract';
import type { ContractRow } from '../contracts/contract-store.ts';
import { readFailure, USER_NAME, type Failure } from '../contracts/reported-facts.ts';
import type { CredentialChange, MadePassword } from './credential-store.ts';

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

const ENC = /^[A-Za-z0-9_-]{43}$/; // 32 bytes.
const CIPHERTEXT = /^[A-Za-z0-9_-]{23,1400}$/; // One byte and a tag of 16, up to what a secret may be.

/** The password that a `password_reset` record reports, for `count` keys; null where it cannot be used. */
export function readPassword(data: Record<string, unknown>, count: number): MadePassword | null {
  const { user, proof, boxes } = data;
  if (typeof user !== 'string' || !USER_NAME.test(user)) return null;
  if (!(PASSWORD_PROOFS as readonly unknown[]).includes(proof)) return null;
  if (!Array.isArray(boxes) || boxes.length !== count || !boxes.every(isBox)) return null;
  const plain = boxes.map(({ enc, ciphertext }) => ({ enc, ciphertext }));
  return { user, proof: proof as PasswordProof, boxes: plain };
}

function isBox(value: unknown): value is SealedBox {
  const { enc, ciphertext } = { ...(value as Partial<SealedBox> | null) };
  return (
    typeof enc === 'string' && ENC.test(enc) && typeof ciphertext === 'string' && CIPHERTEXT.test(ciphertext)
  );
}

/** What the renter is told of a change that failed, from the record's `data`. */
export function changeFailure(data: Record<string, unknown>): Failure {
  const failure = readFailure(data);
  const remedy =
    failure.code === 'CREDENTIALS_UNSUPPORTED' || failure.code === 'INSTANCE_GONE'
      ? ERRORS[failure.code].remedy
      : 'Log in with what you have, or ask for it again. If it fails again, ask the provider.';
  return { ...failure, remedy };
}

/** What the renter is told where the agent handed the order back for good. */
export function unableFailure(detail: string): Failure {
  return changeFailure({ code: 'CREDENTIALS_UNSUPPORTED', detail });
}
