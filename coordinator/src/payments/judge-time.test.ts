import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { judgeTime, nameMaintenance, type ProvedSpan, type TimeInQuestion } from './judge-time.ts';

const span = (fromAt: number, untilAt: number, name = String(fromAt)): ProvedSpan => ({
  fromAt,
  untilAt,
  firstProof: `first ${name}`,
  lastProof: `last ${name}`,
});
const question = (change: Partial<TimeInQuestion>): TimeInQuestion => ({
  fromAt: 0,
  toAt: 100,
  pauses: [],
  spans: [],
  finalUntilAt: 1000,
  leftMs: 1000,
  ...change,
});

describe('the time of a rental', () => {
  it('is proved where a span covers it, and a gap elsewhere, with the proofs around it', () => {
    expect(judgeTime(question({ spans: [span(-5, 40), span(60, 200)] }))).toEqual({
      untilAt: 100,
      provedMs: 80,
      gaps: [{ fromAt: 40, toAt: 60, reason: 'unproved', proofBefore: 'last -5', proofAfter: 'first 60' }],
      firstProof: 'first -5',
      lastProof: 'last 60',
      isWaiting: false,
    });
  });

  it('is one gap where there is no proof at all', () => {
    expect(judgeTime(question({}))).toMatchObject({
      provedMs: 0,
      gaps: [{ fromAt: 0, toAt: 100, reason: 'unproved', proofBefore: null, proofAfter: null }],
    });
  });

  it('that was paused is neither', () => {
    const judged = judgeTime(
      question({
        spans: [span(0, 50)],
        pauses: [
          { fromAt: 20, toAt: 30 },
          { fromAt: 45, toAt: 90 },
        ],
      }),
    );
    expect(judged.provedMs).toBe(35);
    expect(judged.gaps).toMatchObject([{ fromAt: 90, toAt: 100, proofBefore: 'last 0', proofAfter: null }]);
  });

  it('beyond what was paid for is nobody’s: the last part is clamped', () => {
    const judged = judgeTime(question({ spans: [span(0, 100)], leftMs: 70 }));
    expect(judged).toMatchObject({ provedMs: 70, gaps: [], untilAt: 100, isWaiting: false });
    expect(judgeTime(question({ leftMs: 70 })).gaps).toMatchObject([{ fromAt: 0, toAt: 70 }]);
    expect(judgeTime(question({ leftMs: 0 }))).toMatchObject({ provedMs: 0, gaps: [] });
  });

  it('whose evidence may still come waits for it; what is proved does not', () => {
    const late = question({ spans: [span(0, 60)], finalUntilAt: 10 });
    expect(judgeTime(late)).toMatchObject({ provedMs: 60, gaps: [], untilAt: 60, isWaiting: true });
    const later = judgeTime({ ...late, fromAt: 60, finalUntilAt: 80 });
    expect(later).toMatchObject({ gaps: [{ fromAt: 60, toAt: 80 }], untilAt: 80, isWaiting: true });
  });

  it('that was announced as maintenance is named so, and is a gap all the same', () => {
    const { gaps } = judgeTime(question({ spans: [span(0, 30)] }));
    const announced = [{ fromAt: 20, toAt: 60, announcement: 'said before' }];
    expect(nameMaintenance(gaps, announced)).toEqual([
      { fromAt: 30, toAt: 60, reason: 'maintenance', proofBefore: 'said before', proofAfter: null },
      { fromAt: 60, toAt: 100, reason: 'unproved', proofBefore: 'last 0', proofAfter: null },
    ]);
    expect(nameMaintenance(gaps, [])).toEqual(gaps);
  });

  it('is judged the same in one step and in many, whatever it was', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 0, max: 100 }), { maxLength: 12 });
    const asIntervals = (points: number[]) => {
      const sorted = points.toSorted((a, b) => a - b);
      return sorted.flatMap((fromAt, index) =>
        index % 2 === 0 && sorted[index + 1] !== undefined ? [{ fromAt, toAt: sorted[index + 1]! }] : [],
      );
    };
    fc.assert(
      fc.property(cuts, cuts, cuts, fc.nat(120), (pausePoints, spanPoints, steps, leftMs) => {
        const pauses = asIntervals(pausePoints);
        const spans = asIntervals(spanPoints).map(({ fromAt, toAt }) => span(fromAt, toAt));
        const whole = judgeTime(question({ pauses, spans, leftMs }));
        const gapMs = (gaps: { fromAt: number; toAt: number }[]) =>
          gaps.reduce((sum, gap) => sum + gap.toAt - gap.fromAt, 0);
        let [at, left, proved, unproved] = [0, leftMs, 0, 0];
        for (const toAt of [...steps.toSorted((a, b) => a - b), 100]) {
          const step = judgeTime(question({ fromAt: at, toAt, pauses, spans, leftMs: left }));
          at = step.untilAt;
          proved += step.provedMs;
          unproved += gapMs(step.gaps);
          left -= step.provedMs + gapMs(step.gaps);
        }
        expect([proved, unproved]).toEqual([whole.provedMs, gapMs(whole.gaps)]);
        const runningMs = 100 - gapMs(pauses);
        expect(whole.provedMs + gapMs(whole.gaps)).toBe(Math.min(leftMs, runningMs));
      }),
    );
  });
});
