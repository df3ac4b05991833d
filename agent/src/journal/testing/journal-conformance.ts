/** What every journal must do, whatever it is kept in. Called from a test file with a way to open an empty one. */
import { hashJws } from '@dc/shared/crypto/jws';
import { CHAIN_START } from '@dc/shared/evidence/record';
import { afterEach, describe, expect, it } from 'vitest';
import type { Journal, JournalWriter, UnaccountedInstance } from '../journal.ts';
import type { StepEvent } from '../saga-event.ts';
import { aLease, anOrder, CONTRACT_ID, NOON } from './builders.ts';
import { appendRecord, aSaga, started } from './saga-rows.ts';

const OTHER_CONTRACT = '01976f00-0000-7000-8000-0000000000c2';

/** Declares the suite. `open` gives an empty journal; the suite closes it. */
export function describeJournal(name: string, open: () => Promise<Journal>): void {
  describe(name, () => {
    let opened: Journal | undefined;
    const empty = async (): Promise<Journal> => (opened = await open());
    afterEach(() => opened?.close());

    it('keeps an order once under each epoch, with its JWS verbatim', async () => {
      const journal = await empty();
      const order = anOrder();
      expect(journal.write('t', (writer) => writer.saveOrder(order))).toBe(true);
      expect(journal.write('t', (writer) => writer.saveOrder({ ...order, receivedAt: NOON + 5 }))).toBe(
        false,
      );
      expect(journal.write('t', (writer) => writer.saveOrder(anOrder({ epoch: 2 })))).toBe(true);
      const orders = journal.contract(CONTRACT_ID)!.orders;
      expect(orders.map(({ epoch }) => epoch)).toEqual([1, 2]);
      expect(orders[0]).toEqual({ ...order, returned: null });
    });

    it('knows nothing of a contract without an order', async () => {
      const journal = await empty();
      expect(journal.contract(CONTRACT_ID)).toBeNull();
      expect(journal.saga('saga-1')).toBeNull();
      expect(journal.lease(CONTRACT_ID)).toBeNull();
    });

    describe('what releases destroy', () => {
      const ask = (sagaId: string, allowedAt: number | null, at = NOON) => ({
        sagaId,
        contractId: `contract of ${sagaId}`,
        instanceIds: [`instance of ${sagaId}`],
        reason: 'expired',
        askedAt: at,
        allowedAt,
      });
      const release = (writer: JournalWriter, asked: ReturnType<typeof ask>): void => {
        const { sagaId, contractId } = asked;
        writer.createSaga(aSaga({ sagaId, contractId, name: 'release-instance' }));
        writer.saveRelease(asked);
      };

      it('is kept as it was decided first', async () => {
        const journal = await empty();
        journal.write('t', (writer) => release(writer, ask('s1', null)));
        journal.write('t', (writer) => writer.saveRelease(ask('s1', NOON)));
        expect(journal.release('s1')).toEqual(ask('s1', null));
        expect(journal.release('s2')).toBeNull();
      });

      it('counts until an hour has passed or the operator has confirmed', async () => {
        const journal = await empty();
        journal.write('t', (writer) => {
          for (const [sagaId, at] of [
            ['s1', NOON],
            ['s2', NOON + 10],
          ] as const)
            release(writer, ask(sagaId, at, at));
          release(writer, { ...ask('s3', NOON + 20), instanceIds: ['a', 'b'] });
          release(writer, ask('s4', null, NOON + 30));
        });
        expect(journal.destructionWindow(NOON - 1)).toEqual({ waiting: 1, counted: 4, held: 0 });
        expect(journal.destructionWindow(NOON)).toMatchObject({ counted: 3 });
        expect(journal.write('t', (writer) => writer.confirmReleases(['s4', 's9'], NOON + 40))).toBe(1);
        expect(journal.destructionWindow(NOON - 1)).toMatchObject({ waiting: 0, counted: 0 });
        expect(journal.write('t', (writer) => writer.confirmReleases(['s4'], NOON + 50))).toBe(0);
        expect(journal.release('s4')?.allowedAt).toBe(NOON + 40);
      });

      it('is held against what was there when the window began', async () => {
        const journal = await empty();
        const hold = (writer: JournalWriter, contractId: string, at: number): void => {
          const sagaId = `provision ${contractId}`;
          writer.createSaga(aSaga({ sagaId, contractId }));
          writer.finishSaga(sagaId, { outcome: 'reported', at, epoch: 1 });
          writer.saveInstance({ contractId, phase: 'running', handle: null, ssh: null, changedAt: at });
        };
        journal.write('t', (writer) => {
          hold(writer, 'old', NOON);
          hold(writer, 'contract of s1', NOON);
          hold(writer, 'new', NOON + 100);
          release(writer, ask('s1', NOON + 200));
          writer.saveInstance({
            contractId: 'contract of s1',
            phase: 'destroyed',
            handle: null,
            ssh: null,
            changedAt: NOON + 200,
          });
        });
        expect(journal.destructionWindow(NOON + 50)).toMatchObject({ held: 2, counted: 1 });
        expect(journal.destructionWindow(NOON + 300)).toMatchObject({ held: 2, counted: 0 });
      });

      it('shows in its contract while it waits', async () => {
        const journal = await empty();
        journal.write('t', (writer) => {
          writer.saveOrder(anOrder({ kind: 'destroy' }));
          release(writer, { ...ask('s1', null), contractId: CONTRACT_ID });
        });
        expect(journal.contract(CONTRACT_ID)!.pausedAt).toBe(NOON);
        journal.write('t', (writer) => writer.confirmReleases(['s1'], NOON));
        expect(journal.contract(CONTRACT_ID)!.pausedAt).toBeNull();
      });
    });

    it('keeps what it cannot account for until it is removed', async () => {
      const journal = await empty();
      const orphan: UnaccountedInstance = {
        id: 'o',
        handle: { driver: 'memory', version: 1, id: 'o', extra: ['kept'] },
        kind: 'orphan',
        contractId: OTHER_CONTRACT,
        why: null,
        firstSeenAt: NOON,
        lastSeenAt: NOON,
        timesSeen: 1,
        destroyAskedAt: null,
        goneAt: null,
      };
      journal.write('t', (writer) => writer.saveUnaccounted(orphan));
      expect(journal.unaccounted()).toEqual([orphan]);
      const later = {
        ...orphan,
        lastSeenAt: NOON + 1,
        timesSeen: 2,
        destroyAskedAt: NOON + 2,
        goneAt: NOON + 3,
      };
      journal.write('t', (writer) => writer.saveUnaccounted(later));
      expect(journal.unaccounted()).toEqual([later]);
      journal.write('t', (writer) => writer.removeUnaccounted('o'));
      expect(journal.unaccounted()).toEqual([]);
    });

    it('hands an order back once and lists it until the coordinator took note', async () => {
      const journal = await empty();
      const order = anOrder();
      journal.write('t', (writer) => {
        writer.saveOrder(order);
        writer.returnOrder(order, { code: 'capacity', detail: 'full', nothingMade: true, at: NOON + 1 });
        writer.returnOrder(order, { code: 'refused', detail: 'later', nothingMade: false, at: NOON + 2 });
      });
      const expected = {
        code: 'capacity',
        detail: 'full',
        nothingMade: true,
        at: NOON + 1,
        deliveredAt: null,
      };
      expect(journal.undeliveredReturns(10).map(({ returned }) => returned)).toEqual([expected]);
      journal.write('t', (writer) => writer.acknowledgeReturn(order, NOON + 3));
      expect(journal.undeliveredReturns(10)).toEqual([]);
      expect(journal.contract(CONTRACT_ID)!.orders[0]!.returned!.deliveredAt).toBe(NOON + 3);
    });

    it('keeps of an order that is handed back again and again the last time only', async () => {
      const journal = await empty();
      for (let epoch = 1; epoch <= 5; epoch += 1) {
        const order = anOrder({ epoch });
        journal.write('t', (writer) => {
          writer.saveOrder(order);
          writer.returnOrder(order, { code: 'capacity', detail: '', nothingMade: true, at: NOON + epoch });
        });
        journal.write('t', (writer) => writer.acknowledgeReturn(order, NOON + epoch));
      }
      const begun = anOrder({ epoch: 6 });
      journal.write('t', (writer) => writer.saveOrder(begun));
      expect(journal.contract(CONTRACT_ID)!.orders.map(({ epoch }) => epoch)).toEqual([5, 6]);
    });

    it('replaces a lease by the same or a newer epoch, never by an older one', async () => {
      const journal = await empty();
      const save = (epoch: number, expiresAt: number): boolean =>
        journal.write('t', (writer) => writer.saveLease(aLease(anOrder({ epoch }), { expiresAt })));
      expect(save(2, 100)).toBe(true);
      expect(save(2, 200)).toBe(true);
      expect(save(1, 300)).toBe(false);
      expect(journal.lease(CONTRACT_ID)).toMatchObject({ epoch: 2, expiresAt: 200, lost: false });
      expect(save(3, 400)).toBe(true);
    });

    it('needs a lease for as long as an order under it is neither answered nor handed back', async () => {
      const journal = await empty();
      const order = anOrder({ epoch: 2 });
      const isNeeded = (epoch = 2): boolean => journal.isLeaseNeeded({ contractId: CONTRACT_ID, epoch });
      journal.write('t', (writer) => writer.saveLease(aLease(order)));
      expect(isNeeded()).toBe(false);
      journal.write('t', (writer) => writer.saveOrder(order));
      expect(isNeeded()).toBe(true);
      expect(isNeeded(1)).toBe(false);
      const end = (sagaId: string, epoch: number | null): void =>
        journal.write('t', (writer) => {
          writer.createSaga(aSaga({ sagaId }));
          writer.finishSaga(sagaId, { outcome: epoch === null ? 'cancelled' : 'reported', at: NOON, epoch });
        });
      end('undone', null);
      end('older', 1);
      expect(isNeeded()).toBe(true);
      end('answer', 2);
      expect(isNeeded()).toBe(false);
      const later = anOrder({ epoch: 3 });
      journal.write('t', (writer) => {
        writer.saveOrder(later);
        writer.saveLease(aLease(later));
      });
      expect(isNeeded(3)).toBe(true);
      const reason = { code: 'refused', detail: '', nothingMade: false, at: NOON } as const;
      journal.write('t', (writer) => writer.returnOrder(later, reason));
      expect(isNeeded(3)).toBe(false);
    });

    it('needs no lease that is lost', async () => {
      const journal = await empty();
      const order = anOrder();
      journal.write('t', (writer) => {
        writer.saveOrder(order);
        writer.saveLease({ ...aLease(order), lost: true });
      });
      expect(journal.isLeaseNeeded(order)).toBe(false);
    });

    it('brings a lost lease back only under a newer epoch', async () => {
      const journal = await empty();
      const lease = aLease(anOrder());
      const save = (wish: object): boolean =>
        journal.write('t', (writer) => writer.saveLease({ ...lease, ...wish }));
      save({ lost: true });
      expect(save({ lost: false })).toBe(false);
      expect(journal.lease(CONTRACT_ID)!.lost).toBe(true);
      expect(save({ lost: false, epoch: 2 })).toBe(true);
      expect(journal.lease(CONTRACT_ID)!.lost).toBe(false);
    });

    it('keeps the events of a saga in the order in which they were added', async () => {
      const journal = await empty();
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder());
        writer.createSaga(aSaga());
        writer.appendEvents([
          started(),
          started({ event: 'succeeded', data: { token: 'x', list: [1, null] } }),
        ]);
      });
      const saga = journal.saga('saga-1')!;
      expect(saga.input).toEqual({ spec: { cpu: 1 } });
      expect(saga.finished).toBeNull();
      expect(saga.events.map(({ event }) => event)).toEqual(['created', 'started', 'succeeded']);
      expect(saga.events[2]!.data).toEqual({ token: 'x', list: [1, null] });
      expect(journal.contract(CONTRACT_ID)!.sagas).toEqual([saga]);
    });

    it('allows one open saga for a contract, and another when that has ended', async () => {
      const journal = await empty();
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder());
        writer.createSaga(aSaga());
      });
      const createSecond = (): void =>
        journal.write('t', (writer) => writer.createSaga(aSaga({ sagaId: 'saga-2' })));
      expect(createSecond).toThrow();
      journal.write('t', (writer) =>
        writer.finishSaga('saga-1', { outcome: 'cancelled', at: NOON, epoch: null }),
      );
      createSecond();
      expect(journal.contract(CONTRACT_ID)!.sagas.map(({ sagaId }) => sagaId)).toEqual(['saga-1', 'saga-2']);
    });

    it('takes no event for a saga that has ended, or that it does not know', async () => {
      const journal = await empty();
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder());
        writer.createSaga(aSaga());
        writer.finishSaga('saga-1', { outcome: 'reported', at: NOON + 1, epoch: 4 });
      });
      const append = (event: StepEvent) => (): void =>
        journal.write('t', (writer) => writer.appendEvents([event]));
      expect(append(started())).toThrow('not open');
      expect(append(started({ sagaId: 'nobody' }))).toThrow('not open');
      expect(journal.saga('saga-1')!.finished).toEqual({ outcome: 'reported', at: NOON + 1, epoch: 4 });
      expect(journal.saga('saga-1')!.events.map(({ event }) => event)).toEqual(['created', 'finished']);
    });

    it('keeps the secret of a saga until the saga ends', async () => {
      const journal = await empty();
      const secret = new Uint8Array(32).fill(7);
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder());
        writer.createSaga(aSaga());
        writer.saveSagaSecret('saga-1', secret);
      });
      expect(journal.sagaSecret('saga-1')).toEqual(secret);
      journal.write('t', (writer) =>
        writer.finishSaga('saga-1', { outcome: 'reported', at: NOON + 1, epoch: 4 }),
      );
      expect(journal.sagaSecret('saga-1')).toBeNull();
    });

    it('keeps one instance a contract and lists them by phase', async () => {
      const journal = await empty();
      const handle = { driver: 'memory', version: 1, id: 'i-1' } as const;
      const instance = { contractId: CONTRACT_ID, handle, ssh: null, changedAt: NOON } as const;
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder());
        writer.saveInstance({ ...instance, phase: 'running' });
        writer.saveInstance({ ...instance, phase: 'stopped' });
        writer.saveInstance({ ...instance, contractId: OTHER_CONTRACT, handle: null, phase: 'destroyed' });
      });
      expect(journal.contract(CONTRACT_ID)!.instance).toEqual({ ...instance, phase: 'stopped' });
      expect(journal.instances(['running', 'stopped']).map(({ contractId }) => contractId)).toEqual([
        CONTRACT_ID,
      ]);
      expect(journal.instances(['destroyed'])[0]!.handle).toBeNull();
    });

    it('numbers and links the records of each agent key without gaps', async () => {
      const journal = await empty();
      const places = journal.write('t', (writer) => [
        appendRecord(writer),
        appendRecord(writer),
        appendRecord(writer, 'b'),
      ]);
      expect(places[0]).toEqual({ seq: 1, prev: CHAIN_START });
      expect(places[1]).toEqual({ seq: 2, prev: hashJws(`record 1 of a after ${CHAIN_START}`) });
      expect(places[2]).toEqual({ seq: 1, prev: CHAIN_START });
    });

    it('uses a number again when the write that took it failed', async () => {
      const journal = await empty();
      const fail = (): void =>
        journal.write('t', (writer) => {
          appendRecord(writer);
          throw new Error('the write failed');
        });
      expect(fail).toThrow('the write failed');
      expect(journal.undeliveredRecords(10)).toEqual([]);
      expect(journal.write('t', (writer) => appendRecord(writer)).seq).toBe(1);
    });

    it('lists records in the order of signing until each is acknowledged, once', async () => {
      const journal = await empty();
      journal.write('t', (writer) => {
        appendRecord(writer);
        appendRecord(writer, 'b');
        appendRecord(writer);
      });
      const waiting = (): string[] =>
        journal.undeliveredRecords(10).map(({ agentKey, seq }) => `${agentKey}${String(seq)}`);
      expect(waiting()).toEqual(['a1', 'b1', 'a2']);
      expect(journal.undeliveredRecords(2)).toHaveLength(2);
      journal.write('t', (writer) => {
        writer.acknowledgeRecord({ agentKey: 'a', seq: 1 }, 'applied', NOON);
        writer.acknowledgeRecord({ agentKey: 'a', seq: 1 }, 'LEASE_STALE', NOON + 1);
      });
      expect(waiting()).toEqual(['b1', 'a2']);
    });

    it('keeps facts, the last one of a name', async () => {
      const journal = await empty();
      journal.write('t', (writer) => writer.setFact('last_contact', '1'));
      journal.write('t', (writer) => writer.setFact('last_contact', '2'));
      expect(journal.fact('last_contact')).toBe('2');
      expect(journal.fact('nothing')).toBeNull();
      expect(journal.fact('journal_id')).toBe(journal.journalId);
    });

    it('keeps all of a write or nothing, and joins a write within a write', async () => {
      const journal = await empty();
      const fail = (): void =>
        journal.write('outer', (writer) => {
          writer.saveOrder(anOrder());
          journal.write('inner', (inner) => inner.setFact('inner', 'yes'));
          expect(journal.contract(CONTRACT_ID)).not.toBeNull();
          throw new Error('the outer write failed');
        });
      expect(fail).toThrow('the outer write failed');
      expect(journal.contract(CONTRACT_ID)).toBeNull();
      expect(journal.fact('inner')).toBeNull();
    });

    it('calls a contract live while it has an open saga, an instance, or an order without an answer', async () => {
      const journal = await empty();
      const live = (): string[] => journal.contractIds('live');
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder());
        writer.saveOrder(anOrder({ contractId: OTHER_CONTRACT, receivedAt: NOON - 1 }));
      });
      expect(live()).toEqual([OTHER_CONTRACT, CONTRACT_ID]);
      journal.write('t', (writer) => {
        const order = anOrder({ contractId: OTHER_CONTRACT });
        writer.returnOrder(order, { code: 'capacity', detail: '', nothingMade: true, at: NOON });
        writer.createSaga(aSaga());
        writer.finishSaga('saga-1', { outcome: 'reported', at: NOON, epoch: 1 });
      });
      expect(live()).toEqual([]);
      const instance = { contractId: CONTRACT_ID, handle: null, ssh: null, changedAt: NOON };
      journal.write('t', (writer) => writer.saveInstance({ ...instance, phase: 'running' }));
      expect(live()).toEqual([CONTRACT_ID]);
      journal.write('t', (writer) => writer.saveInstance({ ...instance, phase: 'destroyed' }));
      expect(live()).toEqual([]);
      journal.write('t', (writer) => writer.saveOrder(anOrder({ kind: 'destroy', epoch: 2 })));
      expect(live()).toEqual([CONTRACT_ID]);
      expect(journal.contractIds('all')).toHaveLength(2);
    });
  });
}
