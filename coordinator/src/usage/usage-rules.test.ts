import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  billableTimes,
  billPeriod,
  HEARTBEAT_GAP_MS,
  measureUse,
  PERIOD_MS,
  periodsOf,
  projectUse,
  SESSION_MS_MAX,
  UNIT_MS,
  type Interval,
  type UsageFact,
  type UsageTerms,
} from './usage-rules.ts';

const HOUR = 3_600_000;
const START = 1_763_633_000_000;

const beat = (at: number): UsageFact => ({ kind: 'heartbeat', at, endedAt: null, unitsE9s: null });
const session = (at: number, endedAt: number): UsageFact => ({
  kind: 'session',
  at,
  endedAt,
  unitsE9s: null,
});
const count = (at: number, unitsE9s: bigint): UsageFact => ({ kind: 'counter', at, endedAt: null, unitsE9s });
const whole: Interval = { fromAt: 0, toAt: PERIOD_MS };
const used = (facts: readonly UsageFact[], billable: readonly Interval[] = [whole]) =>
  measureUse(facts, billable, whole);
const terms = (change: Partial<UsageTerms> = {}): UsageTerms => ({
  unit: 'hour',
  unitPriceE9s: 20_000_000n,
  includedUnits: 10,
  capE9s: 1_000_000_000_000n,
  ...change,
});

describe('what was used', () => {
  it('is the time between heartbeats that are at most ten minutes apart', () => {
    expect(used([beat(0), beat(60_000), beat(60_000 + HEARTBEAT_GAP_MS)]).usedMs).toBe(660_000);
    expect(used([beat(0), beat(HEARTBEAT_GAP_MS + 1)]).usedMs).toBe(0);
    expect(used([beat(5)]).usedMs).toBe(0);
  });

  it('counts time once, however often it is told of', () => {
    expect(used([session(0, HOUR), session(HOUR / 2, HOUR), beat(0), beat(60_000)]).usedMs).toBe(HOUR);
  });

  it('adds up what was counted', () => {
    expect(used([count(0, 5n), count(1, 7n), count(PERIOD_MS, 100n), count(-1, 100n)]).countedE9s).toBe(12n);
  });

  it('is nothing while the rental is paused, before it began and after it ended', () => {
    const billable = billableTimes({ fromAt: HOUR, toAt: 10 * HOUR }, [{ fromAt: 2 * HOUR, toAt: 4 * HOUR }]);
    expect(billable).toEqual([
      { fromAt: HOUR, toAt: 2 * HOUR },
      { fromAt: 4 * HOUR, toAt: 10 * HOUR },
    ]);
    const facts = [session(0, 20 * HOUR), count(3 * HOUR, 1n), count(10 * HOUR, 1n), count(9 * HOUR, 1n)];
    expect(used(facts, billable)).toEqual({ usedMs: 7 * HOUR, countedE9s: 1n });
  });

  it('is nothing in a rental that was paused from its beginning to its end', () => {
    const rental = { fromAt: 0, toAt: HOUR };
    expect(billableTimes(rental, [{ fromAt: 0, toAt: Infinity }])).toEqual([]);
    expect(used([session(0, HOUR)], []).usedMs).toBe(0);
  });
});

describe('what a period costs beyond the rent', () => {
  it.each(['minute', 'hour', 'day', 'month'] as const)('is nothing up to the included units (%s)', (unit) => {
    const usedMs = Math.min(UNIT_MS[unit] * 10, PERIOD_MS);
    const included = terms({ unit, includedUnits: usedMs / UNIT_MS[unit] });
    expect(billPeriod(included, { usedMs, countedE9s: 0n }, whole)).toMatchObject({
      usedE9s: included.includedUnits === 1 ? 1_000_000_000n : 10_000_000_000n,
      overageE9s: 0n,
      amountE9s: 0n,
      isCapped: false,
    });
  });

  it.each([
    ['minute', 60_000],
    ['hour', 3_600_000],
    ['day', 86_400_000],
    ['month', PERIOD_MS],
  ] as const)('is the price of each unit beyond them (%s)', (unit, unitMs) => {
    const bill = billPeriod(
      terms({ unit, includedUnits: 0 }),
      { usedMs: unitMs, countedE9s: 500_000_000n },
      whole,
    );
    expect(bill).toMatchObject({ overageE9s: 1_500_000_000n, amountE9s: 30_000_000n });
  });

  it('is never more than the cap', () => {
    const bill = billPeriod(terms({ capE9s: 5n }), { usedMs: 100 * HOUR, countedE9s: 0n }, whole);
    expect(bill).toMatchObject({ amountE9s: 5n, isCapped: true });
    expect(billPeriod(terms({ capE9s: 0n }), { usedMs: 11 * HOUR, countedE9s: 0n }, whole).amountE9s).toBe(
      0n,
    );
  });

  it('includes a share of the units in a period that is cut short', () => {
    const day = { fromAt: 0, toAt: PERIOD_MS / 30 };
    const bill = billPeriod(terms({ includedUnits: 30 }), { usedMs: 3 * HOUR, countedE9s: 0n }, day);
    expect(bill).toMatchObject({
      includedE9s: 1_000_000_000n,
      overageE9s: 2_000_000_000n,
      amountE9s: 40_000_000n,
    });
  });

  it('rounds in the renter’s favour, once', () => {
    // A third of a nano-unit for each millisecond: three are worth one.
    const cheap = terms({ unit: 'minute', unitPriceE9s: 20_000n, includedUnits: 0 });
    const worth = (usedMs: number) => billPeriod(cheap, { usedMs, countedE9s: 0n }, whole).amountE9s;
    expect([1, 2, 3, 4, 5, 6].map(worth)).toEqual([0n, 0n, 1n, 1n, 1n, 2n]);
  });

  it('is estimated from what was used so far', () => {
    const half = projectUse({ usedMs: 5 * HOUR, countedE9s: 3n }, whole, PERIOD_MS / 2);
    expect(half).toEqual({ usedMs: 10 * HOUR, countedE9s: 6n });
    expect(projectUse({ usedMs: 0, countedE9s: 0n }, whole, 0)).toEqual({ usedMs: 0, countedE9s: 0n });
    expect(projectUse(half, whole, 2 * PERIOD_MS)).toEqual(half);
  });
});

describe('billing periods', () => {
  it('begin with the rental, follow each other without a gap, and end with it', () => {
    const rental = { fromAt: START, toAt: START + 2 * PERIOD_MS + 7 };
    expect(periodsOf(rental)).toEqual([
      { fromAt: START, toAt: START + PERIOD_MS },
      { fromAt: START + PERIOD_MS, toAt: START + 2 * PERIOD_MS },
      { fromAt: START + 2 * PERIOD_MS, toAt: rental.toAt },
    ]);
    expect(periodsOf(rental, START + PERIOD_MS)).toHaveLength(2);
    expect(periodsOf(rental, START + 2 * PERIOD_MS - 1)).toHaveLength(2);
    expect(periodsOf({ fromAt: START, toAt: START })).toEqual([]);
  });
});

// Events around a rental of up to three periods, in minutes so that they touch and overlap often.
const minute = fc.integer({ min: -30, max: 3 * 43_200 + 30 }).map((value) => value * 60_000);
const anEvent: fc.Arbitrary<UsageFact> = fc.oneof(
  minute.map(beat),
  fc.tuple(minute, fc.integer({ min: 1, max: SESSION_MS_MAX })).map(([at, ms]) => session(at, at + ms)),
  fc.tuple(minute, fc.bigInt({ min: 1n, max: 10n ** 15n })).map(([at, units]) => count(at, units)),
  // A run of heartbeats, across the end of a period more often than by chance.
  fc.integer({ min: 0, max: 3 }).map((period) => beat(period * PERIOD_MS - 60_000)),
  fc.integer({ min: 0, max: 3 }).map((period) => beat(period * PERIOD_MS + 60_000)),
);
const aRental = fc.integer({ min: 1, max: 3 * PERIOD_MS }).map((toAt): Interval => ({ fromAt: 0, toAt }));
const somePauses = fc
  .uniqueArray(fc.integer({ min: 0, max: 3 * PERIOD_MS }), { maxLength: 6 })
  .map((times) => times.sort((a, b) => a - b))
  .map((times) =>
    times.flatMap((fromAt, index): Interval[] =>
      index % 2 === 0 ? [{ fromAt, toAt: times[index + 1] ?? Infinity }] : [],
    ),
  );
const someTerms = fc.record({
  unit: fc.constantFrom('minute' as const, 'hour' as const, 'day' as const, 'month' as const),
  unitPriceE9s: fc.bigInt({ min: 0n, max: 10n ** 15n }),
  includedUnits: fc.nat(1_000_000),
  capE9s: fc.bigInt({ min: 0n, max: 10n ** 18n }),
});

describe('in any rental', () => {
  it('no unit is lost or charged twice between periods, whatever the order of its events', () => {
    fc.assert(
      fc.property(
        fc.array(anEvent, { maxLength: 60 }),
        fc.infiniteStream(fc.nat()),
        aRental,
        somePauses,
        (facts, noise, rental, pauses) => {
          const billable = billableTimes(rental, pauses);
          const all = measureUse(facts, billable, rental);
          const shuffled = facts
            .map((fact) => ({ fact, rank: noise.next().value as number }))
            .sort((a, b) => a.rank - b.rank)
            .map(({ fact }) => fact);
          const parts = periodsOf(rental).map((period) => measureUse(shuffled, billable, period));
          expect(parts.reduce((sum, { usedMs }) => sum + usedMs, 0)).toBe(all.usedMs);
          expect(parts.reduce((sum, { countedE9s }) => sum + countedE9s, 0n)).toBe(all.countedE9s);
          expect(all.usedMs).toBeLessThanOrEqual(rental.toAt - rental.fromAt);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('one more event, or the same ones again, never make a period cheaper; repeats change no time', () => {
    fc.assert(
      fc.property(
        fc.array(anEvent, { maxLength: 30 }),
        anEvent,
        aRental,
        someTerms,
        (facts, late, rental, someTerm) => {
          const billable = billableTimes(rental, []);
          for (const period of periodsOf(rental)) {
            const bill = (some: readonly UsageFact[]) =>
              billPeriod(someTerm, measureUse(some, billable, period), period).amountE9s;
            expect(bill([...facts, late])).toBeGreaterThanOrEqual(bill(facts));
            expect(bill(facts)).toBeLessThanOrEqual(someTerm.capE9s);
            expect(measureUse([...facts, ...facts], billable, period).usedMs).toBe(
              measureUse(facts, billable, period).usedMs,
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('the price is within a nano-unit of the exact one, never above it', () => {
    fc.assert(
      fc.property(
        someTerms,
        fc.integer({ min: 1, max: PERIOD_MS }),
        fc.nat(PERIOD_MS),
        fc.bigInt({ min: 0n, max: 10n ** 15n }),
        (someTerm, periodMs, usedMs, countedE9s) => {
          const uncapped = { ...someTerm, capE9s: 2n ** 80n };
          const { amountE9s } = billPeriod(uncapped, { usedMs, countedE9s }, { fromAt: 0, toAt: periodMs });
          // The same in fractions: overage = used - included, as numerators over unitMs × 1e9 × 30 days.
          const unitMs = BigInt(UNIT_MS[someTerm.unit]);
          const denominator = unitMs * 1_000_000_000n * BigInt(PERIOD_MS);
          const exact =
            (BigInt(usedMs) * 1_000_000_000n + countedE9s * unitMs) * BigInt(PERIOD_MS) -
            BigInt(someTerm.includedUnits) * unitMs * 1_000_000_000n * BigInt(periodMs);
          const due = exact > 0n ? exact * someTerm.unitPriceE9s : 0n;
          expect(amountE9s * denominator).toBeLessThanOrEqual(due);
          expect((amountE9s + 1n) * denominator).toBeGreaterThan(due);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
