import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeMoney } from '@dc/shared/money/money';
import { splitAtEnd } from './refund-rules.ts';
import type { RentalTerms } from './refund-rules.ts';

const HOUR_MS = 3_600_000;
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
/** Ten hours for 100 units, active at 0. */
const terms = (changes: Partial<RentalTerms> = {}): RentalTerms => ({
  paid: usd(100n),
  setupFee: usd(0n),
  released: usd(0n),
  rentedMs: 10 * HOUR_MS,
  activeAt: 0,
  pausedMs: 0,
  ...changes,
});

describe('a rental that ends', () => {
  it.each<[string, Partial<RentalTerms>, number, bigint, bigint]>([
    [
      'before it was active gives everything back',
      { activeAt: null, setupFee: usd(20n) },
      99 * HOUR_MS,
      100n,
      0n,
    ],
    ['the moment it became active gives back the rent', {}, 0, 100n, 0n],
    ['half way gives half back', {}, 5 * HOUR_MS, 50n, 50n],
    ['at its end gives nothing back', {}, 10 * HOUR_MS, 0n, 100n],
    ['long after its end gives nothing back', {}, 99 * HOUR_MS, 0n, 100n],
    ['when the clock went back gives no more than was paid', {}, -HOUR_MS, 100n, 0n],
    ['keeps the set-up fee and splits the rest', { setupFee: usd(20n) }, 5 * HOUR_MS, 40n, 60n],
    ['keeps the whole set-up fee from the first moment', { setupFee: usd(20n) }, 0, 80n, 20n],
    ['does not count pauses as used', { pausedMs: 2 * HOUR_MS }, 5 * HOUR_MS, 70n, 30n],
    [
      'in a pause that outlasts it gives back what it froze',
      { pausedMs: 97 * HOUR_MS },
      99 * HOUR_MS,
      80n,
      20n,
    ],
    [
      'when a pause was counted for too long gives no more than was paid',
      { pausedMs: 9 * HOUR_MS },
      HOUR_MS,
      100n,
      0n,
    ],
    ['half used and half released still gives half back', { released: usd(50n) }, 5 * HOUR_MS, 50n, 0n],
    ['releases what is earned beyond what was released', { released: usd(10n) }, 5 * HOUR_MS, 50n, 40n],
    ['gives back no more than is left', { released: usd(70n) }, 5 * HOUR_MS, 30n, 0n],
    ['with an extension that nobody paid for gives back no more for it', {}, 9 * HOUR_MS, 10n, 90n],
    ['rounds the unused part up', { rentedMs: 3, paid: usd(10n) }, 1, 7n, 3n],
    ['rounds a used nano-unit in the renter’s favour', { paid: usd(1n) }, 10 * HOUR_MS - 1, 1n, 0n],
    ['and cost nothing splits nothing', { paid: usd(0n) }, 5 * HOUR_MS, 0n, 0n],
  ])('%s', (...[, changes, nowMs, refund, release]) => {
    expect(splitAtEnd(terms(changes), nowMs)).toEqual({ refund: usd(refund), release: usd(release) });
  });

  it('loses no unit, whatever the terms, and is never negative', () => {
    fc.assert(
      fc.property(anyTerms, fc.integer({ min: -(10 ** 13), max: 10 ** 13 }), (some, nowMs) => {
        const { refund, release } = splitAtEnd(some, nowMs);
        expect(refund.amountE9s + release.amountE9s + some.released.amountE9s).toBe(some.paid.amountE9s);
        expect(refund.amountE9s >= 0n && release.amountE9s >= 0n).toBe(true);
      }),
    );
  });

  it('gives back less the later it is, and an exact share to less than one unit', () => {
    fc.assert(
      fc.property(anyTerms, fc.nat(10 ** 12), fc.nat(10 ** 12), (some, first, second) => {
        const [sooner, later] = [Math.min(first, second), Math.max(first, second)];
        const refundAt = (nowMs: number) => splitAtEnd(some, nowMs).refund.amountE9s;
        expect(refundAt(sooner) >= refundAt(later)).toBe(true);
        if (some.activeAt === null || some.released.amountE9s > 0n) return;
        const unusedMs =
          some.rentedMs - Math.min(Math.max(later - some.activeAt - some.pausedMs, 0), some.rentedMs);
        const rent = some.paid.amountE9s - some.setupFee.amountE9s;
        const error = refundAt(later) * BigInt(some.rentedMs) - rent * BigInt(unusedMs);
        expect(error >= 0n && error < BigInt(some.rentedMs)).toBe(true);
      }),
    );
  });

  it.each<[string, Partial<RentalTerms>]>([
    ['no duration', { rentedMs: 0 }],
    ['a negative duration', { rentedMs: -1 }],
    ['a duration that is no number', { rentedMs: Number.NaN }],
    ['more released than paid', { released: usd(101n) }],
    ['a set-up fee beyond what was paid', { setupFee: usd(101n) }],
    ['a negative set-up fee', { setupFee: usd(-1n) }],
  ])('refuses %s', (_case, changes) => {
    expect(() => splitAtEnd(terms(changes), 0)).toThrow(RangeError);
  });

  it('refuses two currencies', () => {
    expect(() => splitAtEnd(terms({ released: makeMoney(0n, 'EUR') }), 0)).toThrow('cannot be mixed');
  });
});

const anyTerms: fc.Arbitrary<RentalTerms> = fc
  .record({
    paid: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    setupShare: fc.nat(100),
    releasedShare: fc.nat(100),
    rentedMs: fc.integer({ min: 1, max: 10 ** 11 }),
    activeAt: fc.option(fc.nat(10 ** 12)),
    pausedMs: fc.nat(10 ** 11),
  })
  .map(({ paid, setupShare, releasedShare, ...rest }) => ({
    ...rest,
    paid: usd(paid),
    setupFee: usd((paid * BigInt(setupShare)) / 100n),
    released: usd((paid * BigInt(releasedShare)) / 100n),
  }));
