import { AEAD_AES_128_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke';
import { describe, expect, it } from 'vitest';
import { AppError } from '../errors.ts';
import { fromHex, toHex } from '../ids.ts';
import { SigningKey } from './ed25519.ts';
import { boxKeyOf, openBox, type SealedBox } from './sealed-box.ts';
import { sealBox, sealingSuite } from './seal-box.ts';
import { x25519PrivateKeyOf, x25519PublicKeyOf } from './x25519.ts';

/** RFC 9180, appendix A.1.1: base mode, the first message. */
const RFC_9180_A1 = {
  info: '4f6465206f6e2061204772656369616e2055726e',
  ikmE: '7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234',
  pkRm: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
  skRm: '4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8',
  enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
  pt: '4265617574792069732074727574682c20747275746820626561757479',
  aad: '436f756e742d30',
  ct: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
};

/** The test vector of libsodium's ed25519_convert. */
const LIBSODIUM = {
  seed: '421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee',
  xPublic: 'f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50',
  xPrivate: '8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166',
};

const CONTRACT = '01976f00-0000-7000-8000-0000000000c1';
const OTHER_CONTRACT = '01976f00-0000-7000-8000-0000000000c2';
const SEED = new Uint8Array(32).fill(7);
const KEY = SigningKey.fromSeed(SEED);
const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };

const sealed = (secret = 'correct horse', contractId = CONTRACT): Promise<SealedBox> =>
  sealBox(secret, { publicKey: KEY.publicKey, contractId }, random);
const key = () => boxKeyOf(SEED);

describe('A sealed box', () => {
  it('is what RFC 9180 says: its first vector, sealed by us and opened by WebCrypto', async () => {
    const { info, ikmE, pkRm, skRm, enc, aad, pt, ct } = RFC_9180_A1;
    const suite = sealingSuite({ bytes: () => fromHex(ikmE) });
    const recipient = await suite.DeserializePublicKey(fromHex(pkRm));
    const box = await suite.Seal(recipient, fromHex(pt), { info: fromHex(info), aad: fromHex(aad) });
    expect(toHex(box.encapsulatedSecret)).toBe(enc);
    expect(toHex(box.ciphertext)).toBe(ct);
    const opening = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM);
    const own = {
      privateKey: await opening.DeserializePrivateKey(fromHex(skRm)),
      publicKey: await opening.DeserializePublicKey(fromHex(pkRm)),
    };
    const plain = await opening.Open(own, fromHex(enc), fromHex(ct), {
      info: fromHex(info),
      aad: fromHex(aad),
    });
    expect(toHex(plain)).toBe(pt);
  });

  it('opens for the holder of the key and the contract', async () => {
    expect(await openBox(await sealed('pässword'), await key(), CONTRACT)).toBe('pässword');
  });

  it('never looks the same twice, and shows nothing but the length of what is in it', async () => {
    const [one, two] = await Promise.all([sealed(), sealed()]);
    expect(one.enc).not.toBe(two.enc);
    expect(Buffer.from(one.ciphertext, 'base64url')).toHaveLength('correct horse'.length + 16);
  });

  it('opens for no other contract, no other key, and not after a change of a single bit', async () => {
    const box = await sealed();
    await expect(openBox(box, await key(), OTHER_CONTRACT)).rejects.toThrow();
    const otherKey = await boxKeyOf(new Uint8Array(32).fill(8));
    await expect(openBox(box, otherKey, CONTRACT)).rejects.toThrow();
    for (const member of ['enc', 'ciphertext'] as const) {
      const bytes = Buffer.from(box[member], 'base64url');
      bytes[3]! ^= 1;
      const changed = { ...box, [member]: bytes.toString('base64url') };
      await expect(openBox(changed, await key(), CONTRACT)).rejects.toThrow();
    }
  });

  it('is not made for keys of small order or that are none', async () => {
    for (const publicKey of ['01'.padEnd(64, '0'), '0'.repeat(64), 'ff'.repeat(32), 'AB'.repeat(32), '']) {
      const outcome: unknown = await sealBox('x', { publicKey, contractId: CONTRACT }, random).catch(
        (error: unknown) => error,
      );
      expect(outcome).toBeInstanceOf(AppError);
      expect(outcome).toMatchObject({ code: 'KEY_WEAK' });
    }
  });
});

describe('The X25519 form of an Ed25519 key', () => {
  it('is the one that libsodium knows', async () => {
    const seed = new Uint8Array(fromHex(LIBSODIUM.seed));
    expect(toHex(x25519PublicKeyOf(SigningKey.fromSeed(seed).publicKey))).toBe(LIBSODIUM.xPublic);
    expect(toHex(await x25519PrivateKeyOf(seed))).toBe(LIBSODIUM.xPrivate);
  });

  it('has its two halves fit together for any key', async () => {
    for (let count = 1; count <= 20; count += 1) {
      const seed = new Uint8Array(32).fill(count);
      const { publicKey } = SigningKey.fromSeed(seed);
      const box = await sealBox('x', { publicKey, contractId: CONTRACT }, random);
      expect(await openBox(box, await boxKeyOf(seed), CONTRACT)).toBe('x');
    }
  });
});
