/** The one place where drivers decide whether an object is theirs to touch (invariant I6). Pure. */
import { AppError } from '@dc/shared/errors';
import { readSeal } from '@dc/shared/seal';
import type { CreateRequest } from './provisioner.ts';

/** What an object at the backend says of itself. Nothing of it is believed without the seal. */
export interface SealBearer {
  readonly seal: string | null;
  readonly contractId: string | null;
}

/**
 * The seal that the object carries, when it is one of this provider's for the very contract that the object
 * claims to be for; null otherwise: a seal that was copied from another contract's object is none.
 */
export function validSeal(object: SealBearer, secret: Uint8Array): string | null {
  if (object.seal === null) return null;
  const seal = readSeal(secret, object.seal);
  return seal !== null && seal.contractId === object.contractId ? object.seal : null;
}

/** Throws PROVISIONER_FOREIGN unless the object carries exactly the expected seal, and validly so. */
export function assertSealed(object: SealBearer, expected: string, secret: Uint8Array): void {
  if (validSeal(object, secret) !== expected) throw new AppError('PROVISIONER_FOREIGN');
}

/** Throws PROVISIONER_FOREIGN when a request comes with a seal that is not for its contract. */
export function assertOwnRequest(request: CreateRequest, secret: Uint8Array): void {
  if (validSeal(request, secret) === null) {
    throw new AppError(
      'PROVISIONER_FOREIGN',
      'The seal of the order is not for this contract; nothing was made.',
    );
  }
}
