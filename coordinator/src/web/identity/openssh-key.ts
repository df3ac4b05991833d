/**
 * Writes Ed25519 key pairs as OpenSSH does: the `openssh-key-v1` private key file without a passphrase (PROTOCOL.key
 * of OpenSSH) and the one-line public key.
 */

import type { Random } from '@dc/shared/random';

/** A key pair as its owner keeps it. */
export interface OpensshKeyPair {
  /** The whole private key file. */
  privateFile: string;
  /** `ssh-ed25519 AAAA… comment`. */
  publicLine: string;
}

const TYPE = 'ssh-ed25519';
const BLOCK_BYTES = 8; // Block size of the cipher "none".
const LINE_LENGTH = 70; // As ssh-keygen wraps it.

/** Puts a pair together. `check` is any 32 random bits: a reader compares its two copies. */
export function encodeOpensshKey(
  key: { seed: Uint8Array; publicKey: Uint8Array; check: Uint8Array },
  comment: string,
): OpensshKeyPair {
  const publicBlob = join([string(text(TYPE)), string(key.publicKey)]);
  const secret = join([
    key.check,
    key.check,
    publicBlob,
    string(join([key.seed, key.publicKey])),
    string(text(comment)),
  ]);
  const missing = (BLOCK_BYTES - (secret.length % BLOCK_BYTES)) % BLOCK_BYTES;
  const padding = Uint8Array.from({ length: missing }, (_, index) => index + 1);
  const file = join([
    text('openssh-key-v1\0'),
    string(text('none')), // Cipher.
    string(text('none')), // Key derivation,
    string(new Uint8Array(0)), // and its options.
    uint32(1), // Number of keys.
    string(publicBlob),
    string(join([secret, padding])),
  ]);
  const lines = toBase64(file).match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  return {
    privateFile: [
      '-----BEGIN OPENSSH PRIVATE KEY-----',
      ...lines,
      '-----END OPENSSH PRIVATE KEY-----',
      '',
    ].join('\n'),
    publicLine: `${TYPE} ${toBase64(publicBlob)} ${comment}`,
  };
}

/** A new pair. */
export async function newOpensshKey(random: Random, comment: string): Promise<OpensshKeyPair> {
  const seed = random.bytes(32);
  const check = random.bytes(4);
  // Loaded only when a key is made. WebCrypto would do it too, but not in every browser, and this is one way for all.
  const { getPublicKeyAsync } = await import('@noble/ed25519');
  return encodeOpensshKey({ seed, publicKey: await getPublicKeyAsync(seed), check }, comment);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function uint32(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

function string(bytes: Uint8Array): Uint8Array {
  return join([uint32(bytes.length), bytes]);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
