import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { announcedTimes, judgeUptime, lengthOf, without, type Span } from './uptime-rules.ts';

const span = (from: number, to: number): Span => ({ from, to });

describe('Uptime', () => {
  it('is null where nothing is known', () => {
    expect(judgeUptime(span(10, 10), [], []).uptime).toBeNull();
    expect(judgeUptime(span(0, 10), [span(0, 10)], [span(0, 10)]).uptime).toBeNull();
  });

  it('is the share of the time without outages', () => {
    expect(judgeUptime(span(0, 100), [span(10, 20), span(90, 200)], [])).toEqual({
      knownMs: 100,
      outageMs: 20,
      maintenanceMs: 0,
      uptime: 0.8,
    });
  });

  it('leaves announced maintenance out: an outage in it costs nothing, and it adds nothing', () => {
    expect(judgeUptime(span(0, 100), [span(40, 70)], [span(50, 100)])).toEqual({
      knownMs: 50,
      outageMs: 10,
      maintenanceMs: 50,
      uptime: 0.8,
    });
  });

  const spans = fc.array(
    fc.tuple(fc.nat(100), fc.nat(30)).map(([from, length]) => span(from, from + length)),
    { maxLength: 6 },
  );
  it('agrees with counting each millisecond, however times overlap', () => {
    fc.assert(
      fc.property(spans, spans, (outages, announced) => {
        const within = (list: readonly Span[], ms: number) =>
          list.some(({ from, to }) => from <= ms && ms < to);
        const all = Array.from({ length: 100 }, (_, ms) => ms);
        const counted = all.filter((ms) => !within(announced, ms));
        const judged = judgeUptime(span(0, 100), outages, announced);
        expect(judged.knownMs).toBe(counted.length);
        expect(judged.outageMs).toBe(counted.filter((ms) => within(outages, ms)).length);
        expect(judged.knownMs + judged.maintenanceMs).toBe(100);
      }),
    );
  });
});

describe('What is left of times', () => {
  it('is cut at both ends and in the middle', () => {
    expect(without([span(0, 10)], [span(2, 4), span(8, 20)])).toEqual([span(0, 2), span(4, 8)]);
    expect(lengthOf([span(0, 5), span(3, 8), span(9, 9)])).toBe(8);
  });
});

describe('An announcement', () => {
  const said = (seq: number, receivedAt: number, draining: boolean, maintenanceUntil: number | null) => ({
    seq,
    receivedAt,
    draining,
    maintenanceUntil,
  });

  it('stands from when it came in until its end, or the next word', () => {
    expect(announcedTimes([said(1, 100, false, 200)])).toEqual([
      { seq: 1, kind: 'maintenance', from: 100, to: 200 },
    ]);
    expect(announcedTimes([said(1, 100, false, 200), said(2, 150, false, null)])).toEqual([
      { seq: 1, kind: 'maintenance', from: 100, to: 150 },
    ]);
    expect(announcedTimes([said(1, 100, true, null)])).toEqual([
      { seq: 1, kind: 'draining', from: 100, to: null },
    ]);
  });

  it('that comes in after its time covers nothing', () => {
    expect(announcedTimes([said(1, 300, false, 200)])).toEqual([]);
  });
});
