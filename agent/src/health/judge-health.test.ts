import { describe, expect, it } from 'vitest';
import { HEALTH_UNKNOWN, judgeHealth } from './judge-health.ts';

describe('the verdict on an instance', () => {
  it.each([
    ['+', 'healthy'],
    ['--', 'unknown'],
    ['---', 'unhealthy'],
    ['+--', 'healthy'],
    ['+---', 'unhealthy'],
    ['+--+--', 'healthy'],
    ['+---+', 'unhealthy'],
    ['+---+-+', 'unhealthy'],
    ['+---++', 'healthy'],
  ])('after %s is %s', (looks, expected) => {
    let health = HEALTH_UNKNOWN;
    for (const look of looks) health = judgeHealth(health, look === '+');
    expect(health.verdict).toBe(expected);
  });

  it('changes at most once in three looks, whatever they are', () => {
    for (let pattern = 0; pattern < 4_096; pattern += 1) {
      let health = judgeHealth(HEALTH_UNKNOWN, true);
      let changes = 0;
      for (let bit = 0; bit < 12; bit += 1) {
        const next = judgeHealth(health, ((pattern >> bit) & 1) === 1);
        if (next.verdict !== health.verdict) changes += 1;
        health = next;
      }
      expect(changes).toBeLessThanOrEqual(5);
    }
  });
});
