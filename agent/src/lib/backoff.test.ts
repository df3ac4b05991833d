import { AppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import { backoffMs, jittered } from './backoff.ts';

const LIMITS = { baseMs: 200, capMs: 60_000 };
const lowest = { bytes: (count: number) => new Uint8Array(count) };
const highest = { bytes: (count: number) => new Uint8Array(count).fill(255) };

describe('backoff', () => {
  it('doubles with every failure, between half and all of it, up to the cap', () => {
    expect([1, 2, 3, 4].map((failures) => backoffMs(failures, LIMITS, lowest))).toEqual([100, 200, 400, 800]);
    expect(backoffMs(3, LIMITS, highest)).toBeCloseTo(800, 3);
    expect(backoffMs(100, LIMITS, highest)).toBeCloseTo(60_000, 2);
    expect(backoffMs(1e9, LIMITS, lowest)).toBe(30_000);
  });

  it('waits as long as the other side asked, but not for ever', () => {
    const asked = (retryAfterMs: number) => new AppError('SERVICE_UNAVAILABLE', undefined, { retryAfterMs });
    expect(backoffMs(1, LIMITS, lowest, asked(7_000))).toBe(7_000);
    expect(backoffMs(1, LIMITS, lowest, asked(1e12))).toBe(15 * 60_000);
    expect(backoffMs(9, LIMITS, lowest, asked(1))).toBe(25_600);
  });

  it('spreads beats around their interval', () => {
    expect(jittered(1_000, lowest)).toBe(800);
    expect(jittered(1_000, highest)).toBeCloseTo(1_200, 3);
    expect(jittered(1_000, highest, 0)).toBe(1_000);
  });
});
