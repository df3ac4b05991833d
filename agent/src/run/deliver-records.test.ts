import { AppError } from '@dc/shared/errors';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { signRecord } from '@dc/shared/evidence/record';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PinnedKeys } from '../coordinator-keys/pinned-keys.ts';
import type { Journal } from '../journal/journal.ts';
import { openJournal } from '../journal/open-journal.ts';
import { SILENT } from '../lib/log.ts';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { ENVIRONMENT, MemoryCoordinator } from '../testing/memory-coordinator.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { Contact } from './contact.ts';
import { RecordDelivery } from './deliver-records.ts';

const never = new AbortController().signal;
const CONTRACT = '01890000-0000-7000-8000-0000000000aa';
const key = SigningKey.fromSeed(new Uint8Array(32).fill(1));
const clock = new ManualClock();

let journal: Journal;
let coordinator: MemoryCoordinator;
let delivery: RecordDelivery;

beforeEach(() => {
  journal = openJournal(':memory:', { random: seededRandom(1) });
  coordinator = new MemoryCoordinator(clock, key.publicKey);
  delivery = new RecordDelivery({
    journal,
    coordinator,
    contact: new Contact({ journal, clock, log: SILENT }),
    clock,
    log: SILENT,
    agentKey: key.publicKey,
    pins: pinning([coordinator.key.publicKey]),
  });
});
afterEach(() => journal.close());

function pinning(coordinatorKeys: readonly string[]): PinnedKeys {
  return new PinnedKeys({
    journal,
    coordinator,
    clock,
    log: SILENT,
    coordinatorKeys,
    environment: ENVIRONMENT,
  });
}

/** Signs records into the journal. */
function sign(count: number, { by = key, padding = 0 } = {}): void {
  journal.write('test', (writer) => {
    for (let done = 0; done < count; done += 1) {
      const record = {
        agentKey: by.publicKey,
        contractId: CONTRACT,
        kind: 'health' as const,
        epoch: 1,
        at: clock.now(),
      };
      writer.appendRecord(record, (place) =>
        signRecord(
          {
            ...place,
            at: new Date(clock.now()).toISOString(),
            environment: ENVIRONMENT,
            kind: 'health',
            contract_id: CONTRACT,
            epoch: 1,
            data: { padding: 'x'.repeat(padding) },
          },
          by,
        ),
      );
    }
  });
}

/** Delivers until there is nothing left; how many calls that took. */
async function deliverAll(): Promise<number> {
  const before = coordinator.calls.length;
  while ((await delivery.turn(never)) === 0);
  return coordinator.calls.length - before;
}

const seqs = (): number[] => coordinator.records.map(({ payload }) => payload.seq);
const waiting = (): number => journal.undeliveredRecords(1_000).length;

describe('the outbox', () => {
  it('delivers everything in order, a hundred at a time', async () => {
    sign(250);
    expect(await deliverAll()).toBe(3);
    expect(seqs()).toEqual(Array.from({ length: 250 }, (_, index) => index + 1));
    expect(waiting()).toBe(0);
    expect(await deliverAll()).toBe(0);
  });

  it('sends no body that the coordinator would find too large', async () => {
    sign(60, { padding: 8_000 });
    expect(await deliverAll()).toBeGreaterThan(1);
    expect(seqs()).toHaveLength(60);
  });

  it('delivers again what got lost on the way, or whose answer did', async () => {
    sign(3);
    const submit = coordinator.submitRecords.bind(coordinator);
    coordinator.submitRecords = async (records, signal) => {
      await submit(records, signal);
      throw new AppError('COORDINATOR_UNREACHABLE');
    };
    await expect(delivery.turn(never)).rejects.toMatchObject({ code: 'COORDINATOR_UNREACHABLE' });
    expect(waiting()).toBe(3);
    coordinator.submitRecords = submit;
    await deliverAll();
    expect(waiting()).toBe(0);
    expect(seqs()).toEqual([1, 2, 3]);
  });

  it('goes on behind a record that has no effect', async () => {
    sign(2);
    const submit = coordinator.submitRecords.bind(coordinator);
    coordinator.submitRecords = async (records, signal) => {
      const taken = await submit(records, signal);
      return {
        ...taken,
        results: taken.results.map(({ seq }) => ({ seq, outcome: 'not_applied', code: 'LEASE_STALE' })),
      };
    };
    await deliverAll();
    expect(waiting()).toBe(0);
  });

  it('delivers again from where the coordinator has lost records, old ones too', async () => {
    sign(150);
    await deliverAll();
    coordinator.records.splice(40);
    sign(1);
    await expect(delivery.turn(never)).rejects.toMatchObject({ code: 'RECORD_GAP' });
    await deliverAll();
    expect(seqs()).toHaveLength(151);
    expect(waiting()).toBe(0);
  });

  it.each([
    [
      'by another key',
      (checkpoint: string) => checkpoint,
      [SigningKey.fromSeed(new Uint8Array(32).fill(9)).publicKey],
    ],
    ['that is broken', (checkpoint: string) => `${checkpoint.slice(0, -9)}AAAAAAAAA`, null],
  ])('takes nothing for delivered on a receipt %s', async (_what, change, keys) => {
    sign(1);
    const submit = coordinator.submitRecords.bind(coordinator);
    coordinator.submitRecords = async (records, signal) => {
      const taken = await submit(records, signal);
      return { ...taken, checkpoint: change(taken.checkpoint) };
    };
    const picky = new RecordDelivery({
      journal,
      coordinator,
      contact: new Contact({ journal, clock, log: SILENT }),
      clock,
      log: SILENT,
      agentKey: key.publicKey,
      pins: pinning(keys ?? [coordinator.key.publicKey]),
    });
    await expect(picky.turn(never)).rejects.toMatchObject({ code: 'RESPONSE_INVALID' });
    expect(waiting()).toBe(1);
  });

  it('is not held up by records of a key that was replaced, which stay in the journal', async () => {
    sign(120, { by: SigningKey.fromSeed(new Uint8Array(32).fill(8)) });
    sign(2);
    await deliverAll();
    await deliverAll();
    expect(seqs()).toEqual([1, 2]);
    expect(waiting()).toBe(0);
  });
});
