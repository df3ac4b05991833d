/** Passwords as the `local` driver keeps them: as scrypt hashes, which open nothing when they are read. */
import { scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Type, type Static } from 'typebox';
import type { Random } from '@dc/shared/random';

const HASH_BYTES = 32;

/** Whose password, and its hash. Salt and hash are base64. */
export const PasswordHashSchema = Type.Object({
  user: Type.String(),
  salt: Type.String(),
  hash: Type.String(),
});
export type PasswordHash = Static<typeof PasswordHashSchema>;

const derive = promisify<string, Uint8Array, number, Buffer>(scrypt);

export async function hashPassword(
  { user, password }: { user: string; password: string },
  random: Random,
): Promise<PasswordHash> {
  const salt = Buffer.from(random.bytes(16));
  const hash = await derive(password, salt, HASH_BYTES);
  return { user, salt: salt.toString('base64'), hash: hash.toString('base64') };
}

/** Whether this user has this password. */
export async function isPassword(kept: PasswordHash, user: string, password: string): Promise<boolean> {
  const hash = await derive(password, Buffer.from(kept.salt, 'base64'), HASH_BYTES);
  return kept.user === user && timingSafeEqual(hash, Buffer.from(kept.hash, 'base64'));
}
