import { describe, expect, it } from 'vitest';
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { settlementOf } from './job-settlement.ts';
import type { EndedRun } from './job-settlement.ts';

const LOWEST: Random = { bytes: (count) => new Uint8Array(count) };
const HIGHEST: Random = { bytes: (count) => new Uint8Array(count).fill(255) };
const run = (changes: Partial<EndedRun>): EndedRun => ({
  attempt: 1,
  attemptsMax: 3,
  everyMs: null,
  failure: null,
  wasStopped: false,
  now: 1000,
  random: HIGHEST,
  ...changes,
});
const failed = (error: unknown = new Error('no good')) => ({ failure: { error } });
const waitMs = (changes: Partial<EndedRun>): number => {
  const { settlement } = settlementOf(run({ attemptsMax: 999, ...changes }));
  return settlement.as === 'waiting' ? settlement.at - 1000 : Number.NaN;
};

describe('a run that succeeded', () => {
  it('ends its row, or puts a periodic job to its next turn with all its attempts', () => {
    expect(settlementOf(run({}))).toEqual({ outcome: 'done', settlement: { as: 'done', now: 1000 } });
    expect(settlementOf(run({ everyMs: 60_000, attempt: 9 })).settlement).toEqual({
      as: 'waiting',
      at: 61_000,
      attempts: 0,
      lastError: null,
    });
  });
});

describe('a run that failed', () => {
  it('waits longer each time, anywhere from nothing to a ceiling that doubles up to ten minutes', () => {
    expect([1, 2, 3, 4, 11, 100].map((attempt) => waitMs({ ...failed(), attempt }))).toEqual([
      1000, 2000, 4000, 8000, 600_000, 600_000,
    ]);
    expect(waitMs({ ...failed(), attempt: 100, random: LOWEST })).toBe(0);
  });

  it('waits as long as the other side asks, up to an hour', () => {
    const busy = (retryAfterMs: number) =>
      failed(new AppError('SERVICE_UNAVAILABLE', undefined, { retryAfterMs }));
    expect(waitMs({ ...busy(5000), random: LOWEST })).toBe(5000);
    expect(waitMs({ ...busy(5000), attempt: 4 })).toBe(8000);
    expect(waitMs(busy(10 ** 12))).toBe(3_600_000);
  });

  it('needs attention after its last attempt, with what went wrong in few words', () => {
    expect(settlementOf(run({ ...failed(new AppError('SERVICE_UNAVAILABLE', 'gone')), attempt: 3 }))).toEqual(
      {
        outcome: 'needs_attention',
        settlement: { as: 'needs_attention', now: 1000, lastError: 'SERVICE_UNAVAILABLE: gone' },
      },
    );
    const { settlement } = settlementOf(run(failed(new Error('x'.repeat(9999)))));
    expect(settlement).toHaveProperty('lastError.length', 500);
  });

  it('never needs attention when it is periodic, and is tried again no later than its next turn', () => {
    expect(settlementOf(run({ ...failed(), everyMs: 1500, attempt: 99 }))).toMatchObject({
      outcome: 'failed',
      settlement: { as: 'waiting', at: 2500 },
    });
  });

  it('because the runner stopped goes back at once and keeps its attempt', () => {
    expect(settlementOf(run({ ...failed(), wasStopped: true, attempt: 3 }))).toMatchObject({
      outcome: 'returned',
      settlement: { as: 'waiting', at: 1000, attempts: 2 },
    });
  });
});

describe('a run that a safe mode held back', () => {
  it('is no attempt, however often: the row waits until it is over', () => {
    const failure = { error: new AppError('COORDINATOR_SAFE_MODE', undefined, { retryAfterMs: 30_000 }) };
    const { outcome, settlement } = settlementOf(run({ failure, attempt: 3, attemptsMax: 3 }));
    expect([outcome, settlement]).toEqual([
      'returned',
      expect.objectContaining({ as: 'waiting', attempts: 2 }),
    ]);
    expect(waitMs({ failure })).toBeGreaterThanOrEqual(30_000);
  });
});
