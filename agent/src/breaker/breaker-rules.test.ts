import { describe, expect, it } from 'vitest';
import { isWithinLimit, limitOf } from './breaker-rules.ts';

describe('How many instances may be destroyed within an hour', () => {
  it.each([
    [0, 3],
    [1, 3],
    [20, 3],
    [39, 3],
    [40, 4],
    [49, 4],
    [200, 20],
  ])('holding %i it is %i', (held, limit) => {
    expect(limitOf(3, { held })).toBe(limit);
  });

  it('is at least what the configuration says', () => {
    expect(limitOf(50, { held: 20 })).toBe(50);
    expect(limitOf(50, { held: 1_000 })).toBe(100);
  });
});

describe('A release', () => {
  it.each([
    ['the first', 1, { waiting: 0, counted: 0, held: 20 }, true],
    ['the third', 1, { waiting: 0, counted: 2, held: 20 }, true],
    ['the fourth', 1, { waiting: 0, counted: 3, held: 20 }, false],
    ['of several instances beyond the limit', 2, { waiting: 0, counted: 2, held: 20 }, false],
    ['within a tenth of many', 1, { waiting: 0, counted: 19, held: 200 }, true],
    ['beyond a tenth of many', 1, { waiting: 0, counted: 20, held: 200 }, false],
    ['while another one waits', 1, { waiting: 1, counted: 0, held: 200 }, false],
  ])('%s', (_which, instances, window, isAllowed) => {
    expect(isWithinLimit(instances, 3, window)).toBe(isAllowed);
  });
});
