import { inspect } from 'node:util';
import fc from 'fast-check';
import { verifyAsync } from '@noble/ed25519';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../ids.ts';
import { aKey } from '../testing/keys.ts';
import { seedFromHex, SigningKey, verifySignature } from './ed25519.ts';

/** RFC 8032, 7.1, tests 1 to 3. */
const RFC_8032 = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    publicKey: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
];

describe.each(RFC_8032)('RFC 8032, message $message', ({ seed, publicKey, message, signature }) => {
  it('makes the public key and the signature of the vector, and verifies it', () => {
    const key = SigningKey.fromSeed(fromHex(seed));
    expect(key.publicKey).toBe(publicKey);
    expect(key.sign(fromHex(message)).toString('hex')).toBe(signature);
    expect(verifySignature(publicKey, fromHex(message), fromHex(signature))).toBe(true);
  });

  it('means the same to an implementation that is not ours', async () => {
    expect(await verifyAsync(fromHex(signature), fromHex(message), fromHex(publicKey))).toBe(true);
  });
});

describe('verifySignature', () => {
  const key = aKey('signer');
  const message = Buffer.from('paid in full');
  const signature = key.sign(message);

  it('says no to one changed bit anywhere in message, signature or key', () => {
    fc.assert(
      fc.property(fc.nat(message.length * 8 - 1), fc.nat(64 * 8 - 1), fc.nat(32 * 8 - 1), (m, s, k) => {
        const flip = (bytes: Uint8Array, bit: number) => {
          const copy = Buffer.from(bytes);
          copy[bit >> 3]! ^= 1 << (bit & 7);
          return copy;
        };
        expect(verifySignature(key.publicKey, flip(message, m), signature)).toBe(false);
        expect(verifySignature(key.publicKey, message, flip(signature, s))).toBe(false);
        expect(verifySignature(flip(fromHex(key.publicKey), k).toString('hex'), message, signature)).toBe(
          false,
        );
      }),
    );
  });

  it('says no to a signature whose scalar was raised by the group order', () => {
    // S + L verifies where the range of S is not checked: a second signature for one message.
    const L = 2n ** 252n + 27742317777372353535851937790883648493n;
    let scalar = 0n;
    for (let index = 63; index >= 32; index -= 1) scalar = (scalar << 8n) | BigInt(signature[index]!);
    let raised = scalar + L;
    const other = Buffer.from(signature);
    for (let index = 32; index < 64; index += 1) {
      other[index] = Number(raised & 255n);
      raised >>= 8n;
    }
    expect(verifySignature(key.publicKey, message, other)).toBe(false);
  });

  it('says no, and throws nothing, for any key and signature of any length', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 70 }), (text, bytes) => {
        expect(verifySignature(text, message, bytes)).toBe(false);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(verifySignature(Buffer.from(bytes).toString('hex'), message, signature)).toBe(false);
      }),
    );
    expect(verifySignature(key.publicKey.toUpperCase(), message, signature)).toBe(false);
    expect(verifySignature(key.publicKey, message, signature.subarray(0, 63))).toBe(false);
  });
});

describe('SigningKey', () => {
  const seed = Buffer.alloc(32, 0xa7);
  const key = SigningKey.fromSeed(seed);

  it('signs the same message with the same bytes', () => {
    expect(key.sign(Buffer.from('x'))).toEqual(key.sign(Buffer.from('x')));
  });

  it.each([0, 31, 33, 64])('refuses a seed of %i bytes', (length) => {
    expect(() => SigningKey.fromSeed(new Uint8Array(length))).toThrow('32 bytes');
  });

  it('shows its secret in no form of printing', () => {
    const printed = [String(key), JSON.stringify({ key }), inspect(key, { depth: 9, showHidden: true })];
    for (const text of printed) {
      expect(text).not.toContain(seed.toString('hex'));
      expect(text).not.toContain(seed.toString('base64url').slice(0, 40));
      expect(text).not.toContain('a7 a7 a7');
    }
    expect(printed.slice(0, 2)).toEqual(['[secret]', '{"key":"[secret]"}']);
  });
});

describe('seedFromHex', () => {
  it('reads a seed with the newline of its file', () => {
    expect(seedFromHex(`${'ab'.repeat(32)}\n`)).toEqual(new Uint8Array(32).fill(0xab));
  });

  it.each(['', 'ab', 'AB'.repeat(32), 'zz'.repeat(32), 'ab'.repeat(33)])('refuses %j', (text) => {
    expect(() => seedFromHex(text)).toThrow();
  });
});
