/** What every journal must keep, and may let go of, when the end of a contract lies long behind. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Journal, JournalWriter } from '../journal.ts';
import { aLease, anOrder, CONTRACT_ID, NOON } from './builders.ts';
import { appendRecord, aSaga, started } from './saga-rows.ts';

const INSTANCE = { contractId: CONTRACT_ID, handle: null, ssh: null, changedAt: NOON };

/** Declares the suite. `open` gives an empty journal; the suite closes it. */
export function describeForgetting(name: string, open: () => Promise<Journal>): void {
  describe(name, () => {
    let opened: Journal | undefined;
    const empty = async (): Promise<Journal> => (opened = await open());
    afterEach(() => opened?.close());

    /** A contract that ended at NOON: ordered twice, built, destroyed, all of it told. */
    const ended = (journal: Journal, contractId = CONTRACT_ID): void => {
      const sagaId = `build of ${contractId}`;
      journal.write('t', (writer) => {
        for (const epoch of [1, 2]) writer.saveOrder(anOrder({ contractId, epoch }));
        writer.saveLease(aLease(anOrder({ contractId, epoch: 2 })));
        writer.createSaga(aSaga({ sagaId, contractId }));
        writer.appendEvents([started({ sagaId })]);
        writer.finishSaga(sagaId, { outcome: 'reported', at: NOON, epoch: 2 });
        writer.saveOrder(anOrder({ contractId, kind: 'destroy', epoch: 3 }));
        const { seq } = appendRecord(writer, 'a', contractId);
        writer.acknowledgeRecord({ agentKey: 'a', seq }, 'applied', NOON);
        writer.createSaga(aSaga({ sagaId: `end of ${contractId}`, contractId, name: 'release-instance' }));
        writer.finishSaga(`end of ${contractId}`, { outcome: 'reported', at: NOON, epoch: 3 });
        writer.saveInstance({ contractId, phase: 'destroyed', handle: null, ssh: null, changedAt: NOON });
      });
    };
    const forget = (journal: Journal, before = NOON + 1, limit = 10): number =>
      journal.write('t', (writer) => writer.forgetHistory(before, limit));

    it('lets go of how a contract ended, and of nothing that answers for it', async () => {
      const journal = await empty();
      ended(journal);
      expect(forget(journal, NOON)).toBe(0);
      expect(forget(journal)).toBe(1);
      const view = journal.contract(CONTRACT_ID)!;
      expect(view).toMatchObject({ lease: null, instance: { phase: 'destroyed' } });
      expect(view.orders.map(({ kind, epoch }) => [kind, epoch])).toEqual([['destroy', 3]]);
      expect(view.sagas.map(({ finished, events }) => [finished?.epoch, events.length])).toEqual([
        [2, 0],
        [3, 0],
      ]);
      expect([journal.newestEpoch(CONTRACT_ID), journal.lastSeq('a')]).toEqual([3, 1]);
      expect(journal.contractIds('live')).toEqual([]);
      expect(forget(journal)).toBe(0);
    });

    it('takes so many at a time, and comes to an end', async () => {
      const journal = await empty();
      for (let count = 0; count < 5; count += 1) ended(journal, `contract ${String(count)}`);
      expect([forget(journal, NOON + 1, 2), forget(journal, NOON + 1, 2)]).toEqual([2, 2]);
      expect([forget(journal, NOON + 1, 2), forget(journal, NOON + 1, 2)]).toEqual([1, 0]);
    });

    it.each<[string, (writer: JournalWriter) => void]>([
      ['has an instance', (writer) => writer.saveInstance({ ...INSTANCE, phase: 'running' })],
      ['has an open saga', (writer) => writer.createSaga(aSaga({ sagaId: 'open' }))],
      ['has an order without an answer', (writer) => void writer.saveOrder(anOrder({ epoch: 4 }))],
      [
        'was ordered something since',
        (writer) => void writer.saveOrder(anOrder({ orderId: 'late', epoch: 3, receivedAt: NOON + 1 })),
      ],
      ['owes a record', (writer) => void appendRecord(writer)],
      [
        'owes a return',
        (writer) => {
          const order = anOrder({ epoch: 4 });
          writer.saveOrder(order);
          writer.returnOrder(order, { code: 'refused', detail: '', nothingMade: true, at: NOON });
        },
      ],
      [
        'waits for the operator',
        (writer) =>
          writer.saveRelease({
            sagaId: `end of ${CONTRACT_ID}`,
            contractId: CONTRACT_ID,
            instanceIds: ['one'],
            reason: 'expired',
            askedAt: NOON,
            allowedAt: null,
          }),
      ],
    ])('leaves a contract alone that %s', async (_what, change) => {
      const journal = await empty();
      ended(journal);
      journal.write('t', change);
      expect(forget(journal)).toBe(0);
    });
  });
}
