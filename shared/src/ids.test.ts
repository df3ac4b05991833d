import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, newUuid, toHex, UUID_V7_PATTERN } from './ids.ts';
import { clockAt, countingRandom } from './testing/keys.ts';

const fixed = (byte: number) => ({ bytes: (count: number) => new Uint8Array(count).fill(byte) });

describe('newUuid', () => {
  it('is the example of RFC 9562, A.6, from its time and its random bits', () => {
    const random = {
      bytes: () => Uint8Array.from([0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]),
    };
    expect(newUuid(clockAt(1_645_557_742_000), random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
  });

  it('sets version and variant whatever the random bits are', () => {
    expect(newUuid(clockAt(0), fixed(0x00))).toBe('00000000-0000-7000-8000-000000000000');
    expect(newUuid(clockAt(0), fixed(0xff))).toBe('00000000-0000-7fff-bfff-ffffffffffff');
  });

  it('always has the form of its pattern, and begins with its millisecond', () => {
    const random = countingRandom();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (nowMs) => {
        const id = newUuid(clockAt(nowMs), random);
        expect(id).toMatch(new RegExp(UUID_V7_PATTERN));
        expect(parseInt(id.slice(0, 13).replace('-', ''), 16)).toBe(nowMs);
      }),
    );
  });

  it('sorts as text by time', () => {
    const random = countingRandom();
    fc.assert(
      fc.property(fc.nat(2 ** 31), fc.nat(2 ** 31), (one, other) => {
        fc.pre(one !== other);
        const [first, second] = [newUuid(clockAt(one), random), newUuid(clockAt(other), random)];
        expect(first < second).toBe(one < other);
      }),
    );
  });

  it('takes a clock before 1970 or between two milliseconds', () => {
    expect(newUuid(clockAt(-5), fixed(0))).toMatch(/^00000000-0000-7/);
    expect(newUuid(clockAt(1.9), fixed(0))).toMatch(/^00000000-0001-7/);
  });
});

describe('UUID_V7_PATTERN', () => {
  const pattern = new RegExp(UUID_V7_PATTERN);

  it.each([
    ['another version', '017f22e2-79b0-4cc3-98c4-dc0c0c07398f'],
    ['another variant', '017f22e2-79b0-7cc3-c8c4-dc0c0c07398f'],
    ['upper case', '017F22E2-79B0-7CC3-98C4-DC0C0C07398F'],
    ['no hyphens', '017f22e279b07cc398c4dc0c0c07398f'],
    ['a newline behind it', '017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n'],
    ['something before it', 'x017f22e2-79b0-7cc3-98c4-dc0c0c07398f'],
  ])('refuses %s', (_name, text) => expect(text).not.toMatch(pattern));
});

describe('hexadecimal', () => {
  it('comes back as it went', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
    expect(toHex(Uint8Array.from([0, 15, 255]))).toBe('000fff');
  });

  it.each(['0', 'AB', 'gg', '0x', ' 00', '00 ', '0\n', '٠٠'])('refuses %j', (text) => {
    expect(() => fromHex(text)).toThrow('not lower-case hexadecimal');
  });
});
