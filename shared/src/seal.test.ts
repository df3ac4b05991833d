import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeSeal, readSeal } from './seal.ts';
import { flipBit } from './testing/keys.ts';

const secret = new Uint8Array(32).fill(1);
const seal = { contractId: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f', environment: 'production' };
const text = makeSeal(secret, seal);

describe('a seal', () => {
  it('is read back by whoever holds the secret', () => {
    expect(readSeal(secret, text)).toEqual(seal);
  });

  it('has a form that stays, so that the next release finds what this one made', () => {
    expect(text).toBe(
      'dc1.017f22e2-79b0-7cc3-98c4-dc0c0c07398f.production.Vt-pMsRtfK-cv58m7poqYhCTTPVB-yVd5_ZGVU8kLBI',
    );
  });

  it('is nobody else’s', () => {
    expect(readSeal(new Uint8Array(32).fill(2), text)).toBeNull();
  });

  it('says nothing about another contract or environment', () => {
    expect(readSeal(secret, text.replace('production', 'staging'))).toBeNull();
    expect(readSeal(secret, text.replace('017f', '017e'))).toBeNull();
  });

  it('does not let a part of one text become a part of the other', () => {
    const shifted = makeSeal(secret, { contractId: 'a', environment: 'b-c' });
    expect(readSeal(secret, shifted.replace('a.b-c', 'a-b.c'))).toBeNull();
  });

  it('is refused with any one bit changed', () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.nat(7), (index, bit) => {
        expect(readSeal(secret, flipBit(text, index, bit))).toBeNull();
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['', 'nothing'],
    ['dc-017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'a name that looks right'],
    [text.split('.').slice(0, 3).join('.'), 'no MAC'],
    [`${text.split('.').slice(0, 3).join('.')}.`, 'an empty MAC'],
    [text.slice(0, -1), 'a MAC cut short'],
    [`${text}A`, 'a MAC with a character more'],
    [`${text}=`, 'a padded MAC'],
    [`${text}\n`, 'a newline behind it'],
    [` ${text}`, 'a space before it'],
    [`${text}.x`, 'a part more'],
    [text.replace('dc1', 'dc2'), 'another version'],
    [text.toUpperCase(), 'capitals'],
  ])('is not %j (%s)', (other) => expect(readSeal(secret, other)).toBeNull());

  it('is never found in any other text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (other) => {
        expect(readSeal(secret, other)).toBeNull();
        expect(readSeal(secret, `dc1.${other}.production.${other}`)).toBeNull();
      }),
    );
  });

  it.each(['', 'a.b', 'a b', 'ä', 'a\n', 'a'.repeat(65)])('is not made for the part %j', (part) => {
    expect(() => makeSeal(secret, { ...seal, contractId: part })).toThrow('letters, digits and hyphens');
    expect(() => makeSeal(secret, { ...seal, environment: part })).toThrow('letters, digits and hyphens');
  });
});
