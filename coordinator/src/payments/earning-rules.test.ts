import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { earn, endEarning, type Earned, type EarningStep, type EarningTerms } from './earning-rules.ts';
import { judgeTime, type Judgement } from './judge-time.ts';

const NOTHING: Earned = {
  provedMs: 0,
  unprovedMs: 0,
  releasedE9s: 0n,
  creditedE9s: 0n,
  setupFeeReleased: false,
};
const terms = (change: Partial<EarningTerms> = {}): EarningTerms => ({
  currency: 'USD',
  paidE9s: 1_007n,
  setupFeeE9s: 7n,
  rentedMs: 300,
  earned: NOTHING,
  ...change,
});
const judged = (provedMs: number, ...gaps: [fromAt: number, toAt: number][]): Judgement => ({
  untilAt: 0,
  provedMs,
  gaps: gaps.map(([fromAt, toAt]) => ({
    ...{ fromAt, toAt, reason: 'unproved' as const, proofBefore: null, proofAfter: null },
  })),
  firstProof: null,
  lastProof: null,
  isWaiting: false,
});

describe('earning', () => {
  it('releases what is proved, credits what is not, and takes the set-up fee once', () => {
    const first = earn(terms(), judged(100, [100, 110], [150, 155]));
    expect(first).toMatchObject({ setupFeeE9s: 7n, releaseE9s: 333n, creditE9s: 50n });
    expect(first.credits.map((line) => line.amountE9s)).toEqual([33n, 17n]);
    const second = earn(terms({ earned: first.earned }), judged(100));
    expect(second).toMatchObject({ setupFeeE9s: 0n, releaseE9s: 333n, creditE9s: 0n });
  });

  it('ends with all of what was paid given out', () => {
    const { earned } = earn(terms(), judged(100));
    const end = { activeAt: 0, pausedMs: 0, endedAt: 200 };
    const last = endEarning(terms({ earned }), judged(60, [160, 200]), end);
    expect(last).toMatchObject({ releaseE9s: 200n, creditE9s: 133n, refundE9s: 334n });
    expect(7n + 333n + 200n + 133n + 334n).toBe(1_007n);
    expect(last.credits.reduce((sum, line) => sum + line.amountE9s, 0n)).toBe(133n);
  });

  it('keeps what waits for evidence, and gives it out when it is decided', () => {
    const end = { activeAt: 0, pausedMs: 0, endedAt: 200 };
    const waiting = endEarning(terms(), { ...judged(100), isWaiting: true }, end);
    expect(waiting).toMatchObject({ setupFeeE9s: 7n, releaseE9s: 333n, creditE9s: 0n, refundE9s: 334n });
    const { earned } = waiting;
    expect(endEarning(terms({ earned }), judged(100), end)).toMatchObject({
      releaseE9s: 333n,
      creditE9s: 0n,
    });
    expect(endEarning(terms({ earned }), judged(0, [100, 200]), end)).toMatchObject({
      releaseE9s: 0n,
      creditE9s: 333n,
    });
  });

  it('gives out exactly what was paid, in any life: proofs, gaps, pauses, extensions, late evidence', () => {
    const moment = fc.nat(2_000);
    const life = fc.record({
      perHourE9s: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      setupFeeE9s: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      hours: fc.integer({ min: 1, max: 5 }),
      extendAt: moment,
      moreHours: fc.nat(3),
      spanPoints: fc.uniqueArray(moment, { maxLength: 10 }),
      pause: fc.tuple(moment, fc.nat(300)),
      steps: fc.uniqueArray(moment, { maxLength: 8 }),
      endedAt: moment,
      finalUntilAt: moment,
    });
    const HOUR = 200; // Short hours, so that small numbers meet at every edge.
    fc.assert(
      fc.property(life, (the) => {
        const points = the.spanPoints.toSorted((a, b) => a - b);
        const spans = points.flatMap((fromAt, index) =>
          index % 2 === 0 && points[index + 1] !== undefined
            ? [{ fromAt, untilAt: points[index + 1]!, firstProof: 'a', lastProof: 'b' }]
            : [],
        );
        const pauseEnd = Math.min(the.pause[0] + the.pause[1], the.endedAt);
        const pauses = pauseEnd > the.pause[0] ? [{ fromAt: the.pause[0], toAt: pauseEnd }] : [];
        const pausedMs = pauses.reduce((sum, pause) => sum + pause.toAt - pause.fromAt, 0);
        const termsAt = (at: number, earned: Earned): EarningTerms => {
          const hours = the.hours + (at >= the.extendAt && the.extendAt < the.endedAt ? the.moreHours : 0);
          const paidE9s = the.perHourE9s * BigInt(hours) + the.setupFeeE9s;
          return { currency: 'USD', paidE9s, setupFeeE9s: the.setupFeeE9s, rentedMs: hours * HOUR, earned };
        };
        let [earned, at, given] = [NOTHING, 0, 0n];
        const judge = (toAt: number, rules: EarningTerms, finalUntilAt: number): Judgement =>
          judgeTime({
            ...{ fromAt: at, toAt, pauses, spans, finalUntilAt },
            leftMs: rules.rentedMs - earned.provedMs - earned.unprovedMs,
          });
        const take = (step: EarningStep, judgement: Judgement): void => {
          for (const part of [step.setupFeeE9s, step.releaseE9s, step.creditE9s]) {
            expect(part).toBeGreaterThanOrEqual(0n);
            given += part;
          }
          expect(step.credits.reduce((sum, line) => sum + line.amountE9s, 0n)).toBe(step.creditE9s);
          earned = step.earned;
          at = judgement.untilAt;
        };
        for (const toAt of the.steps.filter((step) => step < the.endedAt).toSorted((a, b) => a - b)) {
          const judgement = judge(toAt, termsAt(toAt, earned), the.finalUntilAt);
          take(earn(termsAt(toAt, earned), judgement), judgement);
        }
        const end = { activeAt: 0, pausedMs, endedAt: the.endedAt };
        const atEnd = judge(the.endedAt, termsAt(the.endedAt, earned), the.finalUntilAt);
        const last = endEarning(termsAt(the.endedAt, earned), atEnd, end);
        take(last, atEnd);
        const paidE9s = termsAt(the.endedAt, earned).paidE9s;
        if (atEnd.isWaiting) {
          expect(given + last.refundE9s).toBeLessThanOrEqual(paidE9s);
          const decided = judge(the.endedAt, termsAt(the.endedAt, earned), Infinity);
          take(endEarning(termsAt(the.endedAt, earned), decided, end), decided);
        }
        expect(given + last.refundE9s).toBe(paidE9s);
      }),
      { numRuns: 2_000 },
    );
  });
});
