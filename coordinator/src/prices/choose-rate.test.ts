import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseRate, type KeptQuote } from './choose-rate.ts';

const NOW = 1_763_633_000_000;
const LIMITS = { maxAgeMs: 600_000, maxDeviationPermille: 30, minSources: 2 };

const said = (rateE9s: bigint | null, change: Partial<KeptQuote> = {}): KeptQuote => ({
  ...{ source: 'somebody', rateE9s, at: rateE9s === null ? null : NOW, problem: null },
  ...change,
});
const choose = (...quotes: KeptQuote[]) => chooseRate(quotes, LIMITS, NOW);

describe('the rate', () => {
  it('is the one in the middle, and as old as the oldest that counts', () => {
    const choice = choose(said(1000n, { at: NOW - 5000 }), said(1010n), said(990n));
    expect(choice).toMatchObject({ rateE9s: 1000n, at: NOW - 5000, problem: null });
  });

  it('is the mean of the two in the middle, rounded down, where they are even', () => {
    expect(choose(said(1000n), said(1001n)).rateE9s).toBe(1000n);
    expect(choose(said(990n), said(1000n), said(1004n), said(1010n)).rateE9s).toBe(1002n);
  });

  it.each<[string, KeptQuote, string | RegExp]>([
    ['is too old', said(1000n, { at: NOW - 600_001 }), '600 s old'],
    [
      'is too old because its source fails',
      said(1000n, { at: NOW - 700_000, problem: 'answers 500' }),
      '700 s old: answers 500',
    ],
    ['is of the future', said(1000n, { at: NOW + 60_001 }), 'of the future'],
    ['was never there', said(null, { problem: 'no answer' }), 'no answer'],
    ['was never asked for', said(null), 'not asked yet'],
    ['is nothing', said(0n), 'not a price'],
    ['is less than nothing', said(-1000n), 'not a price'],
    ['is ten times the others', said(10_000n), 'too far from the others'],
    ['is a tenth of the others', said(100n), 'too far from the others'],
  ])('does not take what %s', (_name, odd, problem) => {
    const { rateE9s, quotes } = choose(said(1000n), odd, said(1002n));
    expect(rateE9s).toBe(1001n);
    expect(quotes.map(({ used }) => used)).toEqual([true, false, true]);
    expect(quotes[1]?.problem).toBe(problem);
  });

  it('takes what its source said before it began to fail, as long as that is fresh', () => {
    expect(choose(said(1000n, { problem: 'answers 500' }), said(1000n)).rateE9s).toBe(1000n);
  });

  it('is not there where too few agree, and says who does not', () => {
    expect(choose(said(1000n), said(null, { source: 'kraken', problem: 'too slow' }))).toMatchObject({
      rateE9s: null,
      at: null,
      problem: '1 of 2 sources agree, and 2 must (kraken: too slow)',
    });
    // Two that contradict each other: nobody knows which of them is right.
    expect(choose(said(1000n), said(2000n)).problem).toContain('0 of 2 sources agree');
    expect(chooseRate([], LIMITS, NOW).problem).toBe('0 of 0 sources agree, and 2 must');
  });

  it('does not depend on the order of the sources', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -5n, max: 2000n }), { maxLength: 7 }), (rates) => {
        const quotes = rates.map((rate) => said(rate));
        expect(choose(...quotes.toReversed()).rateE9s).toBe(choose(...quotes).rateE9s);
      }),
    );
  });

  it('stays among what honest sources say, whatever one of them makes up', () => {
    const honest = fc.bigInt({ min: 1_000_000n, max: 1_010_000n });
    const anything = fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n });
    fc.assert(
      fc.property(fc.array(honest, { minLength: 3, maxLength: 6 }), anything, (rates, lie) => {
        const { rateE9s } = choose(...rates.map((rate) => said(rate)), said(lie));
        const sorted = rates.toSorted((a, b) => (a < b ? -1 : 1));
        expect(rateE9s).not.toBeNull();
        expect(rateE9s).toBeGreaterThanOrEqual(sorted[0] ?? 0n);
        expect(rateE9s).toBeLessThanOrEqual(sorted.at(-1) ?? 0n);
      }),
      { numRuns: 500 },
    );
  });
});
