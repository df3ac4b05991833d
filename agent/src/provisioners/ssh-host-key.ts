/** Ed25519 host keys in the forms that SSH programs read (RFC 8709, OpenSSH's PROTOCOL.key). Pure. */
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { fingerprintOf } from '@dc/shared/ssh-public-key';

const TYPE = 'ssh-ed25519';
const CIPHER_BLOCK_BYTES = 8; // What PROTOCOL.key pads to when the key is not encrypted.

/** How a host key is told to the renter. */
export interface HostKeyDescription {
  /** As in known_hosts: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  /** `SHA256:` and unpadded base64. */
  readonly hostKeyFingerprint: string;
}

/** The public forms of a raw 32-byte Ed25519 public key. */
export function describeHostKey(publicKey: Uint8Array): HostKeyDescription {
  const blob = publicBlob(publicKey);
  return { hostKey: `${TYPE} ${blob.toString('base64')}`, hostKeyFingerprint: fingerprintOf(blob) };
}

/** The raw public key of a 32-byte seed. */
export function publicKeyOfSeed(seed: Uint8Array): Uint8Array {
  return Buffer.from(SigningKey.fromSeed(seed).publicKey, 'hex');
}

/** The private key of a 32-byte seed as an OpenSSH private key file, not encrypted. */
export function openSshPrivateKey(seed: Uint8Array): string {
  const publicKey = publicKeyOfSeed(seed);
  const check = Buffer.alloc(8); // Two equal numbers that tell a right passphrase; there is none, so 0 will do.
  const secret = Buffer.concat([
    check,
    field(TYPE),
    field(publicKey),
    field(Buffer.concat([seed, publicKey])),
    field(''), // The comment.
  ]);
  const missing = (CIPHER_BLOCK_BYTES - (secret.length % CIPHER_BLOCK_BYTES)) % CIPHER_BLOCK_BYTES;
  const padding = Buffer.from(Array.from({ length: missing }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'), // Cipher.
    field('none'), // Key derivation.
    field(''),
    uint32(1), // How many keys follow.
    field(publicBlob(publicKey)),
    field(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString('base64').match(/.{1,70}/g) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join(
    '\n',
  );
}

function publicBlob(publicKey: Uint8Array): Buffer {
  return Buffer.concat([field(TYPE), field(publicKey)]);
}

function field(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
