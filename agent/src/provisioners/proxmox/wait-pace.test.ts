/** When a cluster is asked again: about something new, about something known, and about what takes too long. */
import { describe, expect, it } from 'vitest';
import { WaitPace } from './wait-pace.ts';

/** When it is asked, and how late it notices the end of something that takes `tookMs`. */
function ask(pace: WaitPace, tookMs: number): { questions: number; lateMs: number } {
  let [now, questions] = [0, 1];
  for (; now < tookMs; questions++) now += pace.pauseMs('clone', now);
  pace.note('clone', tookMs);
  return { questions, lateMs: now - tookMs };
}

describe('the pace of waiting', () => {
  it('notices the end of something new within a tenth of its time', () => {
    for (const tookMs of [30, 200, 2_000, 9_000])
      expect(ask(new WaitPace(), tookMs).lateMs).toBeLessThanOrEqual(Math.max(50, tookMs / 10));
    expect(ask(new WaitPace(), 2_000).questions).toBeLessThan(40);
  });

  it('asks about what it knows a few times, and notices the end within a fiftieth', () => {
    const pace = new WaitPace();
    ask(pace, 2_000);
    for (const tookMs of [2_000, 2_040, 1_990, 2_100]) {
      const { questions, lateMs } = ask(pace, tookMs);
      expect(questions).toBeLessThanOrEqual(8);
      expect(lateMs).toBeLessThanOrEqual(0.02 * 2_100 + 25);
    }
  });

  it('learns at once that something became faster, and step by step that it became slower', () => {
    const pace = new WaitPace();
    ask(pace, 25_000);
    ask(pace, 2_000);
    expect(ask(pace, 2_000).lateMs).toBeLessThanOrEqual(60);
    for (let times = 0; times < 30; times++) ask(pace, 10_000);
    expect(ask(pace, 10_000).questions).toBeLessThan(25);
  });

  it('asks at least every second, so that a failure is not noticed late', () => {
    const pace = new WaitPace();
    ask(pace, 60_000);
    expect(pace.pauseMs('clone', 5_000)).toBe(1_000);
    expect(pace.pauseMs('clone', 600_000)).toBe(1_000);
  });
});
