/** The only door for public keys from outside: refuses what is not a point of the curve, and keys of small order. */
import { Point } from '@noble/ed25519';
import { AppError } from '../errors.ts';

/** The lower-case hex form of a raw Ed25519 public key, as JSON Schema `pattern`. */
export const PUBLIC_KEY_PATTERN = '^[0-9a-f]{64}$';

// To compute it takes milliseconds; the same keys come again and again. Bounded.
const KNOWN_MAX = 20_000;
const usable = new Set<string>();
const strong = new Set<string>();

/**
 * Returns `text` when it is a usable public key. Throws KEY_WEAK for bytes that are no point of the curve in
 * canonical form (RFC 8032, 5.1.3), for the eight points of small order, and for points outside the prime-order
 * subgroup: under those a signature can be forged or is not unique.
 */
export function parsePublicKey(text: string): string {
  if (usable.has(text)) return text;
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new AppError('KEY_WEAK', 'A public key is 32 bytes in lower-case hex.');
  let point: Point;
  try {
    point = Point.fromHex(text);
  } catch (error) {
    throw new AppError('KEY_WEAK', 'These bytes are not a point of the curve.', { cause: error });
  }
  if (point.isSmallOrder() || !point.isTorsionFree()) {
    throw new AppError('KEY_WEAK', 'This public key has a small order: anybody could forge its signatures.');
  }
  if (usable.size >= KNOWN_MAX) usable.clear();
  usable.add(text);
  return text;
}

/** Whether 32 bytes are one of the points of small order, in whatever encoding a lenient reader takes them. */
export function isSmallOrder(bytes: Uint8Array): boolean {
  const name = Buffer.from(bytes).toString('latin1');
  if (strong.has(name)) return false;
  try {
    if (Point.fromBytes(bytes, true).isSmallOrder()) return true;
  } catch {
    // No point at all.
  }
  if (strong.size >= KNOWN_MAX) strong.clear();
  strong.add(name);
  return false;
}
