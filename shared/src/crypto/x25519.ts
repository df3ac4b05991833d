/**
 * The X25519 key that goes with an Ed25519 key, so that secrets can be sealed to the keys that accounts have anyway.
 * The curves are one and the same in two forms: u = (1 + y) / (1 - y) (RFC 7748, section 4.1), and the private scalar
 * is the one that Ed25519 signs with (RFC 8032, section 5.1.5, steps 1 and 2). That one key may do both is shown in
 * Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM" (IACR ePrint 2021/509).
 */
import { etc, Point } from '@noble/ed25519';
import { fromHex } from '../ids.ts';
import { parsePublicKey } from './public-key.ts';

/** The 32 bytes of the X25519 public key. Throws KEY_WEAK for what is no usable Ed25519 key, small order among it. */
export function x25519PublicKeyOf(publicKey: string): Uint8Array<ArrayBuffer> {
  const { y } = Point.fromHex(parsePublicKey(publicKey)).toAffine();
  // Only the neutral element has y = 1, and that has small order.
  const { p } = Point.CURVE();
  const u = etc.mod((1n + y) * etc.invert(etc.mod(1n - y, p), p), p);
  const hex = u.toString(16).padStart(64, '0');
  return new Uint8Array(fromHex(hex).toReversed());
}

/** The 32 bytes of the X25519 private key from the seed of the Ed25519 key. They are as secret as the seed. */
export async function x25519PrivateKeyOf(seed: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-512', seed));
  const key = hash.slice(0, 32);
  hash.fill(0);
  // X25519 does this by itself (RFC 7748, section 5), but not every library that imports such a key.
  key[0] = (key[0] ?? 0) & 248;
  key[31] = ((key[31] ?? 0) & 127) | 64;
  return key;
}
