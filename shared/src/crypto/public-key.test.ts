/**
 * Why keys of small order are refused, and that all of them are. node:crypto itself took the forged signature below
 * until the middle of 2026 (nodejs/node pull request 64026); our floor, Node 22.19, still does.
 */
import { Point, verifyAsync } from '@noble/ed25519';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../ids.ts';
import { aKey, codeOf } from '../testing/keys.ts';
import { parsePublicKey } from './public-key.ts';

/** The eight points whose order divides 8, in their canonical encodings. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
];

/** Other bytes that lax decoders take for some of the same points: y not reduced, or a sign of x = 0. */
const SMALL_ORDER_NON_CANONICAL = [
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
];

/** R is the neutral point and S is 0: nobody's private key is needed to write this down. */
const FORGED = Buffer.from(`01${'00'.repeat(63)}`, 'hex');

describe('the danger', () => {
  it.each([...SMALL_ORDER, ...SMALL_ORDER_NON_CANONICAL])(
    'under %s anybody can sign anything, for a verifier that does not look for it',
    async (publicKey) => {
      // @noble/ed25519 follows ZIP 215 unless told otherwise, as other verifiers do on purpose.
      for (const text of ['pay the forger', 'pay the forger twice']) {
        expect(await verifyAsync(FORGED, Buffer.from(text), fromHex(publicKey))).toBe(true);
      }
    },
  );

  it('does not reach an ordinary key', async () => {
    const publicKey = fromHex(aKey('ordinary').publicKey);
    expect(await verifyAsync(FORGED, Buffer.from('pay the forger'), publicKey)).toBe(false);
  });
});

describe('parsePublicKey', () => {
  it('returns an ordinary key as it is', () => {
    for (const name of ['a', 'b', 'c'])
      expect(parsePublicKey(aKey(name).publicKey)).toBe(aKey(name).publicKey);
  });

  it.each(SMALL_ORDER)('refuses the point of small order %s', (text) => {
    expect(codeOf(() => parsePublicKey(text))).toBe('KEY_WEAK');
  });

  it.each(SMALL_ORDER_NON_CANONICAL)('refuses the other spelling %s', (text) => {
    expect(codeOf(() => parsePublicKey(text))).toBe('KEY_WEAK');
  });

  it('refuses every y that is not reduced', () => {
    for (let low = 0xed; low <= 0xff; low += 1) {
      for (const high of ['7f', 'ff']) {
        const text = low.toString(16) + 'ff'.repeat(30) + high;
        expect(codeOf(() => parsePublicKey(text))).toBe('KEY_WEAK');
      }
    }
  });

  it('refuses an ordinary key to which a point of small order was added', () => {
    const ordinary = Point.fromHex(aKey('mixed').publicKey);
    for (const torsion of SMALL_ORDER.slice(1)) {
      const mixed = ordinary.add(Point.fromHex(torsion)).toHex();
      expect(codeOf(() => parsePublicKey(mixed))).toBe('KEY_WEAK');
    }
  });

  it('refuses bytes that are no point of the curve', () => {
    expect(codeOf(() => parsePublicKey(`02${'00'.repeat(31)}`))).toBe('KEY_WEAK');
  });

  it.each([
    '',
    'ab',
    aKey('a').publicKey.toUpperCase(),
    `${aKey('a').publicKey}00`,
    `${aKey('a').publicKey}\n`,
  ])('refuses the text %j', (text) => expect(codeOf(() => parsePublicKey(text))).toBe('KEY_WEAK'));
});
