/**
 * An account's Ed25519 key, derived from its recovery phrase: BIP-39 seed (no passphrase), then HKDF-SHA-256
 * (RFC 5869) with an empty salt and the info `dc-account-key-v1`; see docs/decisions/web-page.md. Uses WebCrypto and
 * leaves the private key with it, not extractable, where it knows Ed25519; elsewhere JavaScript signs, and the key
 * lasts as long as the page.
 */
import type { BoxKey } from '@dc/shared/crypto/sealed-box';
import { toHex } from '@dc/shared/ids';

/** A key as WebCrypto holds it. (The browser and Node name its type differently.) */
export type StoredKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A key that can sign. */
export interface AccountKey {
  /** Lower-case hex. */
  publicKey: string;
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** The key as WebCrypto holds it, to be kept across pages; null where the browser cannot. */
  stored: StoredKey | null;
  /** Opens what is sealed to the key; null where the browser cannot. */
  box: BoxKey | null;
}

const HKDF_INFO = 'dc-account-key-v1';
const PBKDF2_ROUNDS = 2048; // Fixed by BIP-39.
// The fixed DER bytes of RFC 8410 before the 32 bytes of a private key.
const PKCS8_PREFIX = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/** The 64-byte seed of BIP-39, without a passphrase. */
export async function bip39Seed(words: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  const text = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', text.encode(words.join(' ')), 'PBKDF2', false, [
    'deriveBits',
  ]);
  const parameters = {
    name: 'PBKDF2',
    hash: 'SHA-512',
    salt: text.encode('mnemonic'),
    iterations: PBKDF2_ROUNDS,
  };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, 512));
}

/** The 32-byte Ed25519 seed of an account from the BIP-39 seed. */
export async function accountSeed(seed: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey('raw', seed, 'HKDF', false, ['deriveBits']);
  const info = new TextEncoder().encode(HKDF_INFO);
  const parameters = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, 256));
}

/** The key of the phrase, which must be valid. */
export async function accountKeyOf(words: readonly string[]): Promise<AccountKey> {
  const seed = await accountSeed(await bip39Seed(words));
  const box = await boxKey(seed);
  return (await nativeKey(seed, box)) ?? (await scriptKey(seed, box));
}

/** The key again from what was stored. */
export function storedAccountKey(publicKey: string, stored: StoredKey, box: BoxKey | null): AccountKey {
  return {
    publicKey,
    stored,
    box,
    sign: async (message) =>
      new Uint8Array(await crypto.subtle.sign('Ed25519', stored, new Uint8Array(message))),
  };
}

/** What opens boxes, or null where WebCrypto does not know X25519. Loaded when somebody signs in, and not before. */
async function boxKey(seed: Uint8Array<ArrayBuffer>): Promise<BoxKey | null> {
  const { boxKeyOf } = await import('@dc/shared/crypto/sealed-box');
  try {
    return await boxKeyOf(seed);
  } catch (error) {
    if (error instanceof Error && error.name === 'NotSupportedError') return null;
    throw error;
  }
}

/** The key held by WebCrypto, or null where it does not know Ed25519. */
async function nativeKey(seed: Uint8Array, box: BoxKey | null): Promise<AccountKey | null> {
  const pkcs8 = new Uint8Array([...PKCS8_PREFIX, ...seed]);
  try {
    // Only an extractable key tells its public half; the one that is kept is imported anew and tells nothing.
    const open = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
    const { x = '' } = await crypto.subtle.exportKey('jwk', open);
    const stored = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']);
    return storedAccountKey(toHex(fromBase64Url(x)), stored, box);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotSupportedError') return null;
    throw error;
  } finally {
    pkcs8.fill(0);
  }
}

/** The key in JavaScript, for browsers whose WebCrypto has no Ed25519. */
export async function scriptKey(seed: Uint8Array, box: BoxKey | null = null): Promise<AccountKey> {
  const { getPublicKeyAsync, signAsync } = await import('@noble/ed25519');
  const publicKey = toHex(await getPublicKeyAsync(seed));
  return { publicKey, stored: null, box, sign: (message) => signAsync(message, seed) };
}

function fromBase64Url(text: string): Uint8Array {
  const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(bytes, (character) => character.charCodeAt(0));
}
