/** The simulation as a test: many seeds without a violation, a seed that replays, and mistakes that it must notice. */
import { describe, expect, it } from 'vitest';
import { runSeeds, type SeedSummary } from './run-seeds.ts';
import { simulate } from './simulation.ts';
import { PLANTED_BUGS } from './world.ts';

const SEEDS = 300;
const TIMEOUT_MS = 600_000;

describe('the simulation', () => {
  it(
    `finds nothing wrong in ${String(SEEDS)} seeds`,
    async () => {
      const results = await runSeeds({ first: 1, count: SEEDS, isSmall: true });
      expect(results.filter(({ violation }) => violation !== null)).toEqual([]);
      expect(results).toHaveLength(SEEDS);
      const sum = (of: (one: SeedSummary) => number): number =>
        results.reduce((all, one) => all + of(one), 0);
      // Else it would prove little.
      expect(sum(({ lives }) => lives)).toBeGreaterThan(5 * SEEDS);
      const faults = new Set(results.flatMap((one) => Object.keys(one.faults)));
      expect(faults.size).toBeGreaterThan(25);
      for (const rare of ['old backup', 'second daemon', 'torn write', 'database held'])
        expect(faults).toContain(rare);
      expect(sum(({ givenUp }) => givenUp)).toBeLessThan(SEEDS / 10);
    },
    TIMEOUT_MS,
  );

  it('does exactly the same when a seed is run again, and something else with another', async () => {
    const [first, again, other] = [
      await simulate({ seed: 7 }),
      await simulate({ seed: 7 }),
      await simulate({ seed: 8 }),
    ];
    expect(again.trace).toEqual(first.trace);
    expect(again.traceHash).toBe(first.traceHash);
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  it.each(PLANTED_BUGS)(
    'notices agents with the bug %s within 300 seeds',
    async (bug) => {
      const found: string[] = [];
      await runSeeds({
        first: 1,
        count: 300,
        bug,
        onResult: ({ violation }) => violation !== null && found.push(violation) > 0,
      });
      expect(found[0]).toMatch(INVARIANT_BROKEN_BY[bug]);
    },
    TIMEOUT_MS,
  );
});

/** Which invariant notices it. */
const INVARIANT_BROKEN_BY = {
  adopts_unsealed: /^I6: /,
  error_is_absent: /^(I5|rest): /,
  no_fencing: /^I8: /,
  writes_late: /^I12: /,
};
