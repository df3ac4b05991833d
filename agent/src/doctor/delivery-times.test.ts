/** What the doctor says about the last deliveries. */
import { describe, expect, it } from 'vitest';
import type { ContractView, SagaView } from '../journal/journal.ts';
import { describeDeliveries } from './delivery-times.ts';

/** A journal with one saga for each contract: how long it took, and what came of it. */
function journalOf(...sagas: [tookMs: number, outcome: string | null][]) {
  const views = new Map(
    sagas.map(([tookMs, outcome], index) => {
      const saga = {
        contractId: `c${index}`,
        name: 'provision-instance',
        createdAt: 1_000,
        finished: outcome === null ? null : { outcome, at: 1_000 + tookMs, epoch: 1 },
      };
      return [`c${index}`, { sagas: [saga as unknown as SagaView] } as unknown as ContractView];
    }),
  );
  return { contractIds: () => [...views.keys()], contract: (id: string) => views.get(id) ?? null };
}

describe('deliveries', () => {
  it('are told by the one in the middle and the slowest', () => {
    const found = describeDeliveries(journalOf([9_000, 'reported'], [400, 'reported'], [2_500, 'reported']));
    expect(found).toBe(
      'The last 3 took 2.5 s in the middle, from the order to the login; the slowest 9.0 s (c0).',
    );
  });

  it('that came to nothing are a warning, and what still runs is none', () => {
    const found = describeDeliveries(journalOf([400, 'reported'], [100, 'unwound'], [0, null]));
    expect(found).toMatchObject({
      severity: 'warning',
      detail: expect.stringMatching(/^The last 1 .* 1 came to nothing\.$/) as string,
    });
    expect(describeDeliveries(journalOf())).toMatchObject({ severity: 'skipped' });
  });

  it('count among the last twenty contracts', () => {
    const many = Array.from({ length: 30 }, (_, index): [number, string] => [index * 1_000, 'reported']);
    expect(describeDeliveries(journalOf(...many))).toContain('The last 20 took');
  });
});
