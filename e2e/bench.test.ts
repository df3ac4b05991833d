/** The benchmark's own arithmetic: what it measures is only as good as how it counts. */
import { describe, expect, it } from 'vitest';
import { findNudges } from './bench/agents.ts';
import { figure, isReached, median, percentile, renderTable } from './bench/figure.ts';

const oneTo = (count: number) => Array.from({ length: count }, (_, index) => count - index);

describe('percentile', () => {
  it('is a sample that was measured, by nearest rank', () => {
    expect(percentile(oneTo(200), 0.99)).toBe(198);
    expect(percentile(oneTo(200), 1)).toBe(200);
    expect(percentile([7], 0.99)).toBe(7);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 3])).toBe(2);
  });

  it('does not sort numbers as texts, nor the caller’s list', () => {
    const samples = [10, 9, 100];
    expect(median(samples)).toBe(10);
    expect(samples).toEqual([10, 9, 100]);
  });

  it('has nothing to say about no samples', () => {
    expect(() => median([])).toThrow('no samples');
  });
});

describe('a figure', () => {
  it('is reached at its target, and not beyond it', () => {
    const atMost = (value: number) => isReached(figure('x', 'ms', value, { target: { atMost: 50 } }));
    const atLeast = (value: number) => isReached(figure('x', '1/s', value, { target: { atLeast: 60 } }));
    expect([atMost(50), atMost(50.1), atLeast(60), atLeast(59.9)]).toEqual([true, false, true, false]);
    expect(isReached(figure('x', 'ms', 1))).toBeNull();
  });

  it('is held against its floor', () => {
    expect(figure('x', 'ms', 30, { floor: 20 }).ratio).toBe(1.5);
    expect(figure('x', 'ms', 30).ratio).toBeNull();
  });

  it('stands in the table with what was promised', () => {
    const table = renderTable([
      figure('paid → agent starts', 'ms', 12.34, { target: { atMost: 50 }, floor: 10 }),
      figure('records', '1/s', 4321, { target: { atLeast: 5000 } }),
      figure('late', '', 12_345, { target: { atMost: 0 } }),
    ]);
    expect(table.split('\n').slice(1)).toEqual([
      'paid → agent starts   12.3 ms  10.0 ms  1.23 ×   ≤ 50.0 ms  reached',
      'records              4321 1/s                   ≥ 5000 1/s   MISSED',
      'late                   12,345                          ≤ 0   MISSED',
    ]);
  });
});

describe('nudges', () => {
  const pools = [
    { poolId: 'a', agents: [[90, 130, 140], [111], []] },
    { poolId: 'b', agents: [[105]] },
  ];

  it('count for each agent of the pool from the payment on; one that never came is as late as can be', () => {
    expect(findNudges([{ poolId: 'a', paidAt: 100 }], pools)).toEqual([30, 11, 10_000]);
    expect(findNudges([{ poolId: 'b', paidAt: 105 }], pools)).toEqual([0]);
  });
});
