/** The engine with sagas made up for the purpose; the real ones are tested with their world. */
import { AppError } from '@dc/shared/errors';
import { afterEach, describe, expect, it } from 'vitest';
import type { Journal } from '../journal/journal.ts';
import { openJournal } from '../journal/open-journal.ts';
import { AGENT_KEY, aLease, anOrder, CONTRACT_ID, ENVIRONMENT } from '../journal/testing/builders.ts';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { seededRandom } from '../testing/seeded-random.ts';
import { SagaEngine } from './run-saga.ts';
import { defineSaga, type Report, type SagaDefinition } from './saga.ts';
import { readRecords } from './testing/read-records.ts';

const clock = new ManualClock();
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const journals: Journal[] = [];
afterEach(() => {
  for (const journal of journals.splice(0)) journal.close();
});

interface Setting {
  readonly journal: Journal;
  readonly engine: SagaEngine;
  /** Begins the saga for a fresh order and runs it until it rests. */
  readonly run: (
    signal?: AbortSignal,
  ) => Promise<{ sagaId: string; rest: Awaited<ReturnType<SagaEngine['advance']>> }>;
}

function setUp(definition: SagaDefinition): Setting {
  const random = seededRandom('engine');
  const journal = openJournal(':memory:', { random });
  journals.push(journal);
  const services = { journal, clock, random, log: silent, agentKey: AGENT_KEY, environment: ENVIRONMENT };
  const engine = new SagaEngine({ ...services, onOutbox: () => undefined, mayDestroy: () => true }, [
    definition,
  ]);
  const order = anOrder();
  journal.write('order', (writer) => {
    writer.saveOrder(order);
    writer.saveLease(aLease(order));
  });
  return {
    journal,
    engine,
    run: async (signal = new AbortController().signal) => {
      const { contractId, orderId } = order;
      const sagaId = engine.begin(definition.name, { contractId, orderId, input: { size: 3 } });
      return { sagaId, rest: await engine.advance(sagaId, signal) };
    },
  };
}

const header = { name: 'made-up', version: 1, needsLease: true };
const done = (): Report => ({ kind: 'health', data: {} });

describe('The saga engine', () => {
  it('hands the outputs of earlier steps to later ones and to the report, as the journal has them', async () => {
    const { journal, run } = setUp(
      defineSaga<{ size: number }>(header)
        .choose('double', ({ input }) => ({ size: 2 * input.size, dropped: undefined }))
        .run('make', { run: async ({ outputs }) => ({ made: outputs.double, at: new Date(0) }) })
        .report(({ outputs, input }) => ({ kind: 'health', data: { ...input, ...outputs } })),
    );
    expect((await run()).rest).toEqual({ rest: 'finished', outcome: 'reported' });
    expect(readRecords(journal)[0]!.data).toEqual({
      size: 3,
      double: { size: 6 },
      make: { made: { size: 6 }, at: '1970-01-01T00:00:00.000Z' },
    });
  });

  it('undoes in reverse order, and skips what was never begun or has nothing to undo', async () => {
    const undone: string[] = [];
    const step = (name: string) => ({
      run: async () => name,
      undo: async ({ outputs }: { outputs: unknown }) =>
        void undone.push(`${name} ${JSON.stringify(outputs)}`),
    });
    const { journal, run } = setUp(
      defineSaga(header)
        .run('first', step('first'))
        .run('plain', { run: async () => 'plain' })
        .run('second', step('second'))
        .run('failing', {
          ...step('failing'),
          run: () => Promise.reject(new AppError('PROVISIONER_FOREIGN')),
        })
        .run('never', step('never'))
        .report(done),
    );
    expect((await run()).rest).toEqual({ rest: 'finished', outcome: 'failed' });
    const outputs = '{"first":"first","plain":"plain","second":"second"}';
    expect(undone).toEqual([`failing ${outputs}`, `second ${outputs}`, `first ${outputs}`]);
    expect(readRecords(journal)).toMatchObject([{ kind: 'failed', data: { code: 'PROVISIONER_FOREIGN' } }]);
  });

  it('makes no call and no report without the lease', async () => {
    let calls = 0;
    const { journal, engine, run } = setUp(
      defineSaga(header)
        .run('one', {
          run: async () => {
            calls += 1;
            journal.write('lose', (writer) =>
              writer.saveLease({ ...journal.lease(CONTRACT_ID)!, lost: true }),
            );
          },
        })
        .run('two', { run: async () => void (calls += 1) })
        .report(done),
    );
    const { sagaId, rest } = await run();
    expect(rest).toEqual({ rest: 'stopped' });
    expect(calls).toBe(1);
    expect(journal.saga(sagaId)!.events.at(-1)).toMatchObject({ step: 'one', event: 'succeeded' });
    expect(await engine.advance(sagaId, new AbortController().signal)).toEqual({ rest: 'stopped' });
    journal.write('renew', (writer) => writer.saveLease(aLease(anOrder({ epoch: 2 }))));
    expect((await engine.advance(sagaId, new AbortController().signal)).rest).toBe('finished');
    expect(calls).toBe(2);
  });

  it('lets a long step ask for its lease, and stops it where that is gone', async () => {
    const { journal, run } = setUp(
      defineSaga(header)
        .run('long', {
          run: async ({ assertLeaseHeld }) => {
            assertLeaseHeld();
            journal.write('lose', (writer) =>
              writer.saveLease({ ...journal.lease(CONTRACT_ID)!, lost: true }),
            );
            assertLeaseHeld();
            throw new Error('not reached');
          },
        })
        .report(done),
    );
    const { sagaId, rest } = await run();
    expect(rest).toEqual({ rest: 'stopped' });
    expect(journal.saga(sagaId)!.events.at(-1)).toMatchObject({ step: 'long', event: 'started' });
  });

  it('rests until the stored time of the next try, and not before', async () => {
    let calls = 0;
    const { engine, run } = setUp(
      defineSaga(header)
        .run('flaky', {
          policy: { baseMs: 10_000 },
          run: async () => {
            calls += 1;
            if (calls === 1) throw new AppError('PROVISIONER_UNAVAILABLE');
          },
        })
        .report(done),
    );
    const { sagaId, rest } = await run();
    expect(rest).toMatchObject({ rest: 'retry' });
    const at = rest.rest === 'retry' ? rest.at : 0;
    const { signal } = new AbortController();
    expect(await engine.advance(sagaId, signal)).toEqual(rest);
    await clock.advance(at - clock.now() - 1);
    expect(await engine.advance(sagaId, signal)).toEqual(rest);
    expect(calls).toBe(1);
    await clock.advance(1);
    expect((await engine.advance(sagaId, signal)).rest).toBe('finished');
  });

  it('does not start where it is told to stop before it begins', async () => {
    let calls = 0;
    const { run } = setUp(
      defineSaga(header)
        .run('one', { run: async () => void (calls += 1) })
        .report(done),
    );
    expect((await run(AbortSignal.abort())).rest).toEqual({ rest: 'stopped' });
    expect(calls).toBe(0);
  });

  it('turns no saga round that has ended, and none twice', async () => {
    const { journal, engine, run } = setUp(
      defineSaga(header)
        .run('one', { run: async () => null })
        .report(done),
    );
    const { sagaId } = await run();
    const before = journal.saga(sagaId);
    engine.cancel(sagaId, 'order-x');
    expect(journal.saga(sagaId)).toEqual(before);
    expect(await engine.advance(sagaId, new AbortController().signal)).toEqual({
      rest: 'finished',
      outcome: 'reported',
    });
  });

  it('refuses a definition with two steps of one name', () => {
    const once = defineSaga(header).run('one', { run: async () => null });
    expect(() => once.run('one', { run: async () => null })).toThrow('two steps are named one');
  });
});
