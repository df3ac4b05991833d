import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomFraction } from './random.ts';

const of = (...bytes: number[]) => ({ bytes: () => Uint8Array.from(bytes) });

describe('randomFraction', () => {
  it('reaches from 0 to just below 1', () => {
    expect(randomFraction(of(0, 0, 0, 0))).toBe(0);
    expect(randomFraction(of(128, 0, 0, 0))).toBe(0.5);
    expect(randomFraction(of(255, 255, 255, 255))).toBe(1 - 2 ** -32);
  });

  it('never leaves [0, 1)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
        const fraction = randomFraction({ bytes: () => bytes });
        expect(fraction).toBeGreaterThanOrEqual(0);
        expect(fraction).toBeLessThan(1);
      }),
    );
  });
});
