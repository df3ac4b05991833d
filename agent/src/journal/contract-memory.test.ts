import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../testing/seeded-random.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import type { Journal, JournalReader, JournalWriter } from './journal.ts';
import { openJournal, openJournalReader } from './open-journal.ts';
import { aLease, anOrder, CONTRACT_ID, NOON } from './testing/builders.ts';
import { aSaga, started } from './testing/saga-rows.ts';

const tempDir = tempDirs();
const ORDER = anOrder();
const LEASE = aLease(ORDER);
const RELEASE = {
  sagaId: aSaga().sagaId,
  contractId: CONTRACT_ID,
  instanceIds: ['one'],
  reason: 'destroyed',
  askedAt: NOON,
  allowedAt: null,
};

/** One of each write that a contract's view shows, in an order in which they can come. */
const WRITES: readonly (readonly [what: string, write: (writer: JournalWriter) => unknown])[] = [
  ['an order', (writer) => writer.saveOrder(ORDER)],
  ['its lease', (writer) => writer.saveLease(LEASE)],
  ['a saga', (writer) => writer.createSaga(aSaga())],
  ['an event of the saga', (writer) => writer.appendEvents([started()])],
  [
    'an instance',
    (writer) =>
      writer.saveInstance({
        contractId: CONTRACT_ID,
        phase: 'running',
        handle: null,
        ssh: null,
        changedAt: NOON,
      }),
  ],
  ['a release that waits', (writer) => writer.saveRelease(RELEASE)],
  ['its confirmation', (writer) => writer.confirmReleases([RELEASE.sagaId], NOON)],
  [
    'the end of the saga',
    (writer) => writer.finishSaga(aSaga().sagaId, { outcome: 'reported', at: NOON, epoch: 1 }),
  ],
  ['a lost lease', (writer) => writer.saveLease({ ...LEASE, lost: true })],
  [
    'an order handed back',
    (writer) => writer.returnOrder(ORDER, { code: 'refused', detail: 'no', nothingMade: true, at: NOON }),
  ],
  ['a fact', (writer) => writer.setFact('a fact', 'so')],
  ['another value of the fact', (writer) => writer.setFact('a fact', 'not so')],
  ['the hand-back delivered', (writer) => writer.acknowledgeReturn(ORDER, NOON)],
];

const everythingOf = (journal: JournalReader): unknown => ({
  view: journal.contract(CONTRACT_ID),
  lease: journal.lease(CONTRACT_ID),
  saga: journal.saga(aSaga().sagaId),
  isLeaseNeeded: journal.isLeaseNeeded(LEASE),
  fact: journal.fact('a fact'),
});

async function open(): Promise<{ journal: Journal; other: JournalReader; close: () => void }> {
  const path = join(await tempDir(), 'journal.db');
  const journal = openJournal(path, { random: seededRandom('memory') });
  const other = openJournalReader(path);
  const close = (): void => {
    other.close();
    journal.close();
  };
  return { journal, other, close };
}

describe('What the journal remembers of a contract', () => {
  it('is what the file says, after every write', async () => {
    const { journal, other, close } = await open();
    for (const [what, write] of WRITES) {
      const before = everythingOf(journal);
      journal.write('test', write);
      expect(everythingOf(journal), what).toEqual(everythingOf(other));
      expect(everythingOf(journal), what).not.toEqual(before);
    }
    close();
  });

  it('is nothing of a write that did not happen', async () => {
    const { journal, other, close } = await open();
    for (const [what, write] of WRITES) {
      const failing = (): unknown =>
        journal.write('test', (writer) => {
          write(writer);
          everythingOf(journal);
          throw new Error('the disk is full');
        });
      expect(failing).toThrow();
      expect(everythingOf(journal), what).toEqual(everythingOf(other));
      journal.write('test', write);
    }
    close();
  });
});
