/**
 * Seals boxes (see `sealed-box.ts`) in Node. The library does what RFC 9180 is about; node:crypto gives it the
 * primitives, without the thread pool and with our own dice, so that a run on virtual time stays repeatable.
 */
import { createCipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { CipherSuite, I2OSP, LabeledExpand, LabeledExtract, NotSupportedError } from 'hpke';
import type { AEAD, KDF, KEM, Key } from 'hpke';
import type { Random } from '../random.ts';
import { BOX_INFO, type SealedBox } from './sealed-box.ts';
import { x25519PublicKeyOf } from './x25519.ts';

/** Longer secrets are none: a password has 24 characters. */
const SECRET_BYTES_MAX = 1024;

/**
 * Seals `secret` for the holder of an account's Ed25519 key (lower-case hex), bound to the contract. Rejects with
 * KEY_WEAK for a key that nothing may be sealed to.
 */
export async function sealBox(
  secret: string,
  { publicKey, contractId }: { publicKey: string; contractId: string },
  random: Random,
): Promise<SealedBox> {
  const plain = Buffer.from(secret, 'utf8');
  if (plain.length > SECRET_BYTES_MAX) throw new Error('a secret that is sealed has 1,024 bytes at most');
  const suite = sealingSuite(random);
  const recipient = await suite.DeserializePublicKey(x25519PublicKeyOf(publicKey));
  const { encapsulatedSecret, ciphertext } = await suite.Seal(recipient, plain, {
    info: Buffer.from(BOX_INFO),
    aad: Buffer.from(contractId),
  });
  return { enc: toBase64Url(encapsulatedSecret), ciphertext: toBase64Url(ciphertext) };
}

/** HPKE for sealing only. `random` gives the 32 bytes that each ephemeral key is derived from. */
export function sealingSuite(random: Random): CipherSuite<PublicKey> {
  return new CipherSuite(
    () => kem(random),
    () => HKDF_SHA256,
    () => AES_128_GCM,
  );
}

/** A raw X25519 public key, as the library wants keys to look. */
interface PublicKey extends Key {
  readonly bytes: Uint8Array;
}

// The fixed DER prefixes of RFC 8410 before the 32 raw bytes of an X25519 key.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const KEM_ID = 0x0020;
const KEM_SUITE = Buffer.concat([Buffer.from('KEM'), I2OSP(KEM_ID, 2)]);
const EMPTY = new Uint8Array(0);
const label = (text: string): Uint8Array => Buffer.from(text);
const unused = (): Promise<never> => Promise.reject(new NotSupportedError('this suite only seals'));

/** DHKEM(X25519, HKDF-SHA256), the half of the sender (RFC 9180, section 4.1). */
function kem(random: Random): KEM<PublicKey> {
  return {
    id: KEM_ID,
    type: 'KEM',
    name: 'DHKEM(X25519, HKDF-SHA256)',
    Nsecret: 32,
    Nenc: 32,
    Npk: 32,
    Nsk: 32,
    async Encap(recipient) {
      const ephemeral = privateKey(await deriveScalar(random.bytes(32)));
      const enc = rawPublicKey(ephemeral);
      // Throws where the result is all zeros, which RFC 9180 wants to be refused (section 7.1.4).
      const dh = diffieHellman({ privateKey: ephemeral, publicKey: publicKey(recipient.bytes) });
      const context = Buffer.concat([enc, recipient.bytes]);
      const prk = await LabeledExtract(HKDF_SHA256, KEM_SUITE, EMPTY, label('eae_prk'), dh);
      const secret = await LabeledExpand(HKDF_SHA256, KEM_SUITE, prk, label('shared_secret'), context, 32);
      return { shared_secret: secret, enc };
    },
    async DeserializePublicKey(bytes) {
      return { algorithm: { name: 'X25519' }, extractable: true, type: 'public', bytes };
    },
    async SerializePublicKey({ bytes }) {
      return bytes;
    },
    Decap: unused,
    DeriveKeyPair: unused,
    GenerateKeyPair: unused,
    DeserializePrivateKey: unused,
    SerializePrivateKey: unused,
  };
}

/** DeriveKeyPair of RFC 9180, section 7.1.3. */
async function deriveScalar(ikm: Uint8Array): Promise<Uint8Array> {
  const prk = await LabeledExtract(HKDF_SHA256, KEM_SUITE, EMPTY, label('dkp_prk'), ikm);
  return LabeledExpand(HKDF_SHA256, KEM_SUITE, prk, label('sk'), EMPTY, 32);
}

const privateKey = (scalar: Uint8Array) =>
  createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, scalar]), format: 'der', type: 'pkcs8' });
const publicKey = (bytes: Uint8Array) =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: 'der', type: 'spki' });
const rawPublicKey = (key: ReturnType<typeof privateKey>): Uint8Array =>
  new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length));

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
};

/** RFC 5869. */
const HKDF_SHA256: KDF = {
  id: 0x0001,
  type: 'KDF',
  name: 'HKDF-SHA256',
  Nh: 32,
  stages: 2,
  async Extract(salt, ikm) {
    return hmac(salt.length === 0 ? new Uint8Array(32) : salt, ikm);
  },
  async Expand(prk, info, length) {
    const blocks: Uint8Array[] = [];
    for (let count = 1; 32 * blocks.length < length; count += 1)
      blocks.push(hmac(prk, blocks.at(-1) ?? EMPTY, info, new Uint8Array([count])));
    return new Uint8Array(Buffer.concat(blocks).subarray(0, length));
  },
  Derive: unused,
};

const AES_128_GCM: AEAD = {
  id: 0x0001,
  type: 'AEAD',
  name: 'AES-128-GCM',
  Nk: 16,
  Nn: 12,
  Nt: 16,
  async Seal(key, nonce, aad, plain) {
    const cipher = createCipheriv('aes-128-gcm', key, nonce);
    cipher.setAAD(aad);
    return new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
  },
  Open: unused,
};

const toBase64Url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
