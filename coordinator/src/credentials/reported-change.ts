/** Reads what an agent's record says of a change: nothing of it is believed that cannot be checked. */
import { ERRORS } from '@dc/shared/errors';
import type { SealedBox } from '@dc/shared/crypto/sealed-box';
import { PASSWORD_PROOFS, type PasswordProof } from '@dc/shared/wire/contract';
import { readFailure, USER_NAME, type Failure } from '../contracts/reported-facts.ts';
import type { MadePassword } from './credential-store.ts';

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
