/**
 * Sealed boxes (invariant I14): a short secret that only the holder of one account key can read, bound to one
 * contract. HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM, to the X25519
 * form of the account's Ed25519 key; the info is `BOX_INFO`, and the AAD is the contract's id as UTF-8. This half
 * opens, by WebCrypto, in Node and in browsers; `seal-box.ts` seals.
 */
import {
  AEAD_AES_128_GCM,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  type CryptoKey,
  type KeyPair,
} from 'hpke';
import { x25519PrivateKeyOf } from './x25519.ts';

/** HPKE's `info`: what is sealed for one purpose opens for no other. */
export const BOX_INFO = 'dc-credential-v1';

/** The names by which RFC 9180 and its registry know what boxes are made with. */
export const BOX_ALGORITHM = 'HPKE-v1-BASE;DHKEM(X25519,HKDF-SHA256);HKDF-SHA256;AES-128-GCM';

/** One box. Both are base64url without padding. */
export interface SealedBox {
  /** The 32-byte encapsulated key. */
  enc: string;
  ciphertext: string;
}

/** What opens the boxes of one account key. In a browser the private half cannot be read out. */
export type BoxKey = KeyPair<CryptoKey>;

const suite = (): CipherSuite<CryptoKey> =>
  new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM);

// The fixed DER bytes of RFC 8410 before the 32 bytes of an X25519 private key.
const PKCS8_PREFIX = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32];

/**
 * The key that opens boxes, from the seed of the account's Ed25519 key. Rejects with an Error named
 * NotSupportedError where WebCrypto has no X25519.
 */
export async function boxKeyOf(seed: Uint8Array<ArrayBuffer>): Promise<BoxKey> {
  const secret = await x25519PrivateKeyOf(seed);
  const pkcs8 = new Uint8Array([...PKCS8_PREFIX, ...secret]);
  try {
    // Only an extractable key tells its public half; the one that is kept tells nothing.
    const open = await crypto.subtle.importKey('pkcs8', pkcs8, 'X25519', true, ['deriveBits']);
    const { x = '' } = await crypto.subtle.exportKey('jwk', open);
    return {
      privateKey: await suite().DeserializePrivateKey(secret),
      publicKey: await suite().DeserializePublicKey(fromBase64Url(x)),
    };
  } finally {
    secret.fill(0);
    pkcs8.fill(0);
  }
}

/**
 * The secret in a box. `contractId` is the one that the reader asked for, never one that came with the box. Rejects
 * where the box is for another key or another contract, or was changed on its way.
 */
export async function openBox(box: SealedBox, key: BoxKey, contractId: string): Promise<string> {
  const text = new TextEncoder();
  const plain = await suite().Open(key, fromBase64Url(box.enc), fromBase64Url(box.ciphertext), {
    info: text.encode(BOX_INFO),
    aad: text.encode(contractId),
  });
  return new TextDecoder('utf-8', { fatal: true }).decode(plain);
}

function fromBase64Url(text: string): Uint8Array {
  const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(bytes, (character) => character.charCodeAt(0));
}
