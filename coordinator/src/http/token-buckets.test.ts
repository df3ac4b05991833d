import { ManualClock } from '@dc/shared/testing/manual-clock';
import { describe, expect, it } from 'vitest';
import { TokenBuckets } from './token-buckets.ts';

describe('a token bucket', () => {
  it('lets a fifth of a minute’s requests through at once, then as many as its rate', async () => {
    const clock = new ManualClock();
    const buckets = new TokenBuckets(clock, 60);
    for (let count = 0; count < 12; count += 1) expect(buckets.take('a')).toBe(0);
    expect(buckets.take('a')).toBe(1000);
    await clock.advance(400);
    expect(buckets.take('a')).toBe(600);
    await clock.advance(600);
    expect(buckets.take('a')).toBe(0);
    expect(buckets.take('a')).toBe(1000);
  });

  it('never holds more than its burst, however long it was idle', async () => {
    const clock = new ManualClock();
    const buckets = new TokenBuckets(clock, 60);
    buckets.take('a');
    await clock.advance(3_600_000);
    for (let count = 0; count < 12; count += 1) expect(buckets.take('a')).toBe(0);
    expect(buckets.take('a')).toBeGreaterThan(0);
  });

  it('is one for each caller, and looking takes nothing', () => {
    const buckets = new TokenBuckets(new ManualClock(), 5);
    expect(buckets.peek('a')).toBe(0);
    expect(buckets.take('a')).toBe(0);
    expect(buckets.peek('a')).toBeGreaterThan(0);
    expect(buckets.peek('a')).toBeGreaterThan(0);
    expect(buckets.take('b')).toBe(0);
  });

  it('does not lock anybody out when the clock is set back', async () => {
    const clock = new ManualClock();
    const buckets = new TokenBuckets(clock, 60);
    for (let count = 0; count < 12; count += 1) buckets.take('a');
    clock.jump(-3_600_000);
    await clock.advance(1000);
    expect(buckets.take('a')).toBe(0);
  });

  it('forgets who was idle longest, so that its memory is bounded', () => {
    const buckets = new TokenBuckets(new ManualClock(), 5);
    for (let count = 0; count < 50_010; count += 1) {
      buckets.take(`caller ${count}`);
      if (count % 1000 === 0) buckets.peek('caller 0');
    }
    expect(buckets.size).toBe(50_000);
    expect(buckets.peek('caller 0')).toBeGreaterThan(0);
    expect(buckets.peek('caller 1')).toBe(0);
  });
});
