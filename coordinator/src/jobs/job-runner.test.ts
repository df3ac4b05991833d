import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { AppError } from '@dc/shared/errors';
import { runProgram } from '../database/testing/run-program.ts';
import { openTestDatabase } from '../database/testing/test-database.ts';
import type { TestDatabase } from '../database/testing/test-database.ts';
import { systemRandom } from '../lib/system-random.ts';
import { JobRunner } from './job-runner.ts';
import type { Job, JobEvent } from './job.ts';
import { createOutbox, defineTopic } from './outbox.ts';
import type { Topic } from './outbox.ts';
import { ManualClock } from './testing/manual-clock.ts';

// Real disks and processes on a busy machine; a test that passes takes milliseconds.
vi.setConfig({ testTimeout: 30_000 });

const PROGRAM = fileURLToPath(new URL('./testing/jobs-program.ts', import.meta.url));
const TEST = defineTopic<null>('test');
const OTHER = defineTopic<null>('other');
const LEASE_MS = 30_000;

/** A runner on a clock that stands still: whatever happens without `advance` happened at once, by a wake. */
async function openRunner(options: { database?: TestDatabase; clock?: ManualClock } = {}) {
  const database = options.database ?? (await openTestDatabase());
  const clock = options.clock ?? new ManualClock();
  const events: JobEvent[] = [];
  const log = pino({ level: 'silent' });
  const runner = new JobRunner({
    database,
    clock,
    random: systemRandom,
    log,
    onEvent: (event) => events.push(event),
  });
  const outbox = createOutbox({ clock, onCommitted: () => runner.wake() });
  const enqueue = (topic: Topic<null>, keys: string[], notBeforeAt?: number) =>
    database.write(async (trx) => {
      for (const key of keys) {
        await outbox.enqueue(trx, topic, {
          key,
          payload: null,
          ...(notBeforeAt === undefined ? {} : { notBeforeAt }),
        });
      }
    });
  const row = (key: string) =>
    database.read.selectFrom('outbox').selectAll().where('key', '=', key).executeTakeFirstOrThrow();
  onTestFinished(async () => {
    await runner.drain(0);
  });
  return { database, clock, events, runner, outbox, enqueue, row };
}

const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 20_000, interval: 2 });
const gate = () => Promise.withResolvers<undefined>();

describe('a row', () => {
  it('is carried out after its commit, without a poll, and is done', async () => {
    const { clock, events, runner, outbox, database, row } = await openRunner();
    const jobs: Job<{ to: string }>[] = [];
    const mail = defineTopic<{ to: string }>('mail');
    runner.handle(mail, async (job) => void jobs.push(job));
    await runner.start();
    await database.write((trx) => outbox.enqueue(trx, mail, { key: 'a', payload: { to: 'x' } }));
    await eventually(() => expect(events).toEqual([{ topic: 'mail', outcome: 'done', durationMs: 0 }]));
    expect(jobs).toMatchObject([{ key: 'a', payload: { to: 'x' }, attempt: 1 }]);
    expect(await row('a')).toMatchObject({
      done_at: clock.now(),
      leased_by: null,
      attempts: 1,
      last_error: null,
    });
  });

  it('that was there before the start is found', async () => {
    const { events, runner, enqueue } = await openRunner();
    runner.handle(TEST, () => Promise.resolve());
    await enqueue(TEST, ['a']);
    await runner.start();
    await eventually(() => expect(events).toHaveLength(1));
  });

  it('waits for its time, and not for a poll after it', async () => {
    const { clock, events, runner, enqueue } = await openRunner();
    runner.handle(TEST, () => Promise.resolve());
    await runner.start();
    await enqueue(TEST, ['a'], clock.now() + 300);
    clock.advance(299);
    await enqueue(TEST, ['b']);
    await eventually(() => expect(events).toHaveLength(1));
    await eventually(() => expect(clock.timerCount).toBe(2)); // The next look, and a renewal.
    clock.advance(1);
    await eventually(() => expect(events).toHaveLength(2));
  });

  it('of another process is found by the poll', async () => {
    const { clock, database, events, runner } = await openRunner();
    runner.handle(TEST, () => Promise.resolve());
    await runner.start();
    await eventually(() => expect(clock.timerCount).toBe(1));
    const elsewhere = createOutbox({ clock, onCommitted: () => undefined });
    await database.write((trx) => elsewhere.enqueue(trx, TEST, { key: 'a', payload: null }));
    clock.advance(1000);
    await eventually(() => expect(events).toHaveLength(1));
  });

  it('without a handler stays for a program that has one', async () => {
    const { events, runner, enqueue, row } = await openRunner();
    runner.handle(TEST, () => Promise.resolve());
    await runner.start();
    await enqueue(OTHER, ['a']);
    await enqueue(TEST, ['b']);
    await eventually(() => expect(events).toHaveLength(1));
    expect(await row('a')).toMatchObject({ attempts: 0, done_at: null });
  });
});

describe('a handler that fails', () => {
  it('runs again after what Retry-After says, and that is written in the row', async () => {
    const { clock, events, runner, enqueue, row } = await openRunner();
    runner.handle(TEST, async ({ attempt }) => {
      if (attempt === 1) throw new AppError('SERVICE_UNAVAILABLE', 'busy', { retryAfterMs: 60_000 });
    });
    await runner.start();
    await enqueue(TEST, ['a']);
    await eventually(() => expect(events).toMatchObject([{ outcome: 'failed' }]));
    expect(await row('a')).toMatchObject({
      not_before_at: clock.now() + 60_000,
      leased_by: null,
      attempts: 1,
      last_error: 'SERVICE_UNAVAILABLE: busy',
    });
    clock.advance(59_999);
    await eventually(() => expect(clock.timerCount).toBe(1));
    expect(events).toHaveLength(1);
    clock.advance(1);
    await eventually(() => expect(events).toMatchObject([{ outcome: 'failed' }, { outcome: 'done' }]));
    expect(await row('a')).toMatchObject({ attempts: 2, last_error: null });
  });

  it('every time needs attention in the end, and holds nobody else up', async () => {
    const { clock, events, runner, enqueue, row } = await openRunner();
    runner.handle(
      TEST,
      ({ key }) => (key === 'poison' ? Promise.reject(new Error('no good')) : Promise.resolve()),
      { concurrency: 1, attemptsMax: 3 },
    );
    await runner.start();
    await enqueue(TEST, ['poison', 'a', 'b', 'c']);
    await eventually(async () => {
      clock.advance(5000);
      expect(await row('poison')).toMatchObject({ attempts: 3, last_error: 'Error: no good' });
      expect((await row('poison')).needs_attention_at).not.toBeNull();
    });
    expect(events.filter((event) => event.outcome === 'done')).toHaveLength(3);
    expect(events.at(-1)?.outcome).toBe('needs_attention');
    clock.advance(10 ** 9);
    await enqueue(TEST, ['d']);
    await eventually(() => expect(events.filter((event) => event.outcome === 'done')).toHaveLength(4));
    expect(events.filter((event) => event.outcome === 'needs_attention')).toHaveLength(1);
  });

  it('because its payload cannot be read is a failure like others', async () => {
    const { database, events, runner, enqueue, row } = await openRunner();
    runner.handle(TEST, () => Promise.resolve(), { attemptsMax: 1 });
    await enqueue(TEST, ['a']);
    await database.write((trx) => trx.updateTable('outbox').set({ payload: '{' }).execute());
    await runner.start();
    await eventually(() => expect(events).toMatchObject([{ outcome: 'needs_attention' }]));
    expect((await row('a')).last_error).toContain('JSON');
  });
});

describe('places', () => {
  it('are bounded for a topic, and a slow topic takes none of another', async () => {
    const { events, runner, enqueue } = await openRunner();
    const slow = gate();
    let slowRunning = 0;
    runner.handle(TEST, () => ((slowRunning += 1), slow.promise), { concurrency: 2 });
    runner.handle(OTHER, () => Promise.resolve(), { concurrency: 1 });
    await runner.start();
    await enqueue(
      TEST,
      Array.from({ length: 250 }, (_, index) => `slow ${index}`),
    );
    await eventually(() => expect(slowRunning).toBe(2));
    await enqueue(OTHER, ['a', 'b', 'c']);
    await eventually(() => expect(events.map((event) => event.topic)).toEqual(['other', 'other', 'other']));
    expect(slowRunning).toBe(2);
    slow.resolve(undefined);
    await eventually(() => expect(events).toHaveLength(253));
  });

  it('of a topic that is full do not hide the rows of another behind a long queue', async () => {
    const { clock, events, runner, enqueue } = await openRunner();
    const slow = gate();
    runner.handle(TEST, () => slow.promise, { concurrency: 2 });
    runner.handle(OTHER, () => Promise.resolve());
    await enqueue(
      TEST,
      Array.from({ length: 150 }, (_, index) => `slow ${index}`),
      clock.now() - 1,
    );
    await enqueue(OTHER, ['a']);
    await runner.start();
    await eventually(() => expect(events).toMatchObject([{ topic: 'other', outcome: 'done' }]));
    slow.resolve(undefined);
  });
});

describe('a lease', () => {
  it('is renewed as long as the handler runs, so that nobody else takes the row', async () => {
    const first = await openRunner();
    const second = await openRunner({ database: first.database, clock: first.clock });
    const slow = gate();
    first.runner.handle(TEST, () => slow.promise, { deadlineMs: 10 * LEASE_MS });
    second.runner.handle(TEST, () => Promise.resolve());
    await first.runner.start();
    await first.enqueue(TEST, ['a']);
    await eventually(async () => expect((await first.row('a')).leased_by).not.toBeNull());
    await second.runner.start();
    for (let index = 0; index < 20; index += 1) {
      const before = (await first.row('a')).not_before_at;
      first.clock.advance(LEASE_MS / 6);
      await eventually(async () => expect((await first.row('a')).not_before_at).toBe(before + LEASE_MS / 6));
    }
    slow.resolve(undefined);
    await eventually(() => expect(first.events).toMatchObject([{ outcome: 'done' }]));
    expect(second.events).toEqual([]);
    expect(await first.row('a')).toMatchObject({ attempts: 1 });
  });

  it('that was lost stops the handler, and its late answer changes nothing', async () => {
    const { clock, database, events, runner, enqueue, row } = await openRunner();
    let reason: unknown;
    const stopped = gate();
    runner.handle(TEST, async ({ signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason;
        stopped.resolve(undefined);
      });
      await stopped.promise;
    });
    await runner.start();
    await enqueue(TEST, ['a']);
    await eventually(async () => expect((await row('a')).leased_by).not.toBeNull());
    const theirs = { leased_by: 'somebody else', not_before_at: clock.now() + 10 ** 9 };
    await database.write((trx) => trx.updateTable('outbox').set(theirs).execute());
    clock.advance(LEASE_MS / 6);
    await eventually(() => expect(events).toMatchObject([{ outcome: 'lease_lost' }]));
    expect(reason).toMatchObject({ code: 'LEASE_STALE' });
    expect(await row('a')).toMatchObject({ ...theirs, done_at: null });
  });

  it('that cannot be renewed for too long stops the handler before somebody else may start', async () => {
    const { clock, database, runner, enqueue, row } = await openRunner();
    let abortedAt: number | undefined;
    runner.handle(
      TEST,
      ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            abortedAt = clock.now();
            resolve();
          });
        }),
    );
    await runner.start();
    await enqueue(TEST, ['a']);
    await eventually(async () => expect((await row('a')).leased_by).not.toBeNull());
    const startedAt = clock.now();
    await database.close();
    for (let index = 0; index < 5 && abortedAt === undefined; index += 1) {
      clock.advance(LEASE_MS / 6);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(abortedAt).toBeGreaterThan(startedAt);
    expect(abortedAt).toBeLessThan(startedAt + LEASE_MS);
  });

  it('of a process that was killed between the effect and its end is taken over, and the row runs again', async () => {
    const { clock, database, events, runner, enqueue } = await openRunner();
    await enqueue(TEST, ['a']);
    const program = runProgram(PROGRAM, [database.file, 'hang']);
    await program.printed('did');
    await program.kill();
    let attempts = 0;
    runner.handle(TEST, async ({ attempt }) => {
      attempts = attempt;
    });
    // The other process leased by the real time.
    clock.advance(Date.now() - clock.now());
    await runner.start();
    await eventually(() => expect(clock.timerCount).toBe(1));
    expect(events).toEqual([]);
    clock.advance(LEASE_MS + 1000);
    await eventually(() => expect(events).toMatchObject([{ outcome: 'done' }]));
    expect(attempts).toBe(2);
  });

  it('of a row that kills its process every time ends with attention, too', async () => {
    const { database, events, runner, enqueue, row } = await openRunner();
    await enqueue(TEST, ['a']);
    await database.write((trx) => trx.updateTable('outbox').set({ attempts: 3 }).execute());
    let runs = 0;
    runner.handle(TEST, async () => void (runs += 1), { attemptsMax: 3 });
    await runner.start();
    await eventually(() => expect(events).toMatchObject([{ outcome: 'needs_attention' }]));
    expect([runs, (await row('a')).last_error]).toEqual([0, 'Error: its attempts never ended']);
  });
});

it('several processes carry out each row once', { timeout: 60_000 }, async () => {
  const { database, enqueue } = await openRunner();
  await enqueue(
    TEST,
    Array.from({ length: 200 }, (_, index) => `row ${index}`),
    Date.now(),
  );
  const programs = [1, 2, 3].map(() => runProgram(PROGRAM, [database.file, 'work']));
  await Promise.all(programs.map((program) => program.finished));
  const did = (await database.read.selectFrom('meta').select('key').execute()).map((row) => row.key);
  expect(did).toHaveLength(200);
  expect(new Set(did.map((key) => key.split(' by ')[0])).size).toBe(200);
  expect(did.filter((key) => !key.endsWith('attempt 1'))).toEqual([]);
});

describe('a deadline', () => {
  it('aborts a handler that never ends', async () => {
    const { clock, events, runner, enqueue, row } = await openRunner();
    const started = gate();
    runner.handle(
      TEST,
      ({ signal }) => {
        started.resolve(undefined);
        return new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        );
      },
      { deadlineMs: 5000 },
    );
    await runner.start();
    await enqueue(TEST, ['a']);
    await started.promise;
    clock.advance(4999);
    expect(events).toEqual([]);
    clock.advance(1);
    await eventually(() => expect(events).toMatchObject([{ outcome: 'failed' }]));
    expect((await row('a')).last_error).toContain('longer than 5000 ms');
  });
});

describe('a periodic job', () => {
  it('runs at once, then in turn, in one process at a time, also after failures', async () => {
    const first = await openRunner();
    const second = await openRunner({ database: first.database, clock: first.clock });
    let runs = 0;
    for (const { runner } of [first, second]) {
      runner.every('tidy', 60_000, async () => {
        runs += 1;
        if (runs === 2) throw new Error('no good');
      });
      await runner.start();
    }
    const events = () => [...first.events, ...second.events].map((event) => event.outcome);
    await eventually(() => expect(events()).toEqual(['done']));
    first.clock.advance(59_999);
    await eventually(() => expect(first.clock.timerCount).toBe(2));
    expect(runs).toBe(1);
    first.clock.advance(1);
    await eventually(() => expect(events()).toContain('failed'));
    await eventually(() => {
      first.clock.advance(500);
      expect(runs).toBe(3);
    });
    await eventually(() => expect(events()).toHaveLength(3));
  });

  it('whose interval was shortened does not wait for the old one', async () => {
    const first = await openRunner();
    first.runner.every('tidy', 10 ** 9, () => Promise.resolve());
    await first.runner.start();
    await eventually(() => expect(first.events).toHaveLength(1));
    await first.runner.drain(0);
    const second = await openRunner({ database: first.database, clock: first.clock });
    second.runner.every('tidy', 5000, () => Promise.resolve());
    await second.runner.start();
    await eventually(() => {
      first.clock.advance(500);
      expect(second.events).toHaveLength(1);
    });
  });
});

describe('draining', () => {
  it('lets what runs finish and starts nothing more', async () => {
    const { clock, events, runner, enqueue, row } = await openRunner();
    const slow = gate();
    const started = gate();
    let wasAborted: boolean | undefined;
    const handler = async ({ signal }: Job<null>): Promise<void> => {
      started.resolve(undefined);
      await slow.promise;
      wasAborted = signal.aborted;
    };
    runner.handle(TEST, handler, { concurrency: 1 });
    await runner.start();
    await enqueue(TEST, ['a', 'b']);
    await started.promise;
    const drained = runner.drain(10_000);
    setImmediate(() => slow.resolve(undefined));
    expect(await drained).toBe(0);
    expect(wasAborted).toBe(false);
    expect(events).toMatchObject([{ outcome: 'done' }]);
    await enqueue(TEST, ['c']);
    expect([(await row('b')).attempts, (await row('c')).attempts, clock.timerCount]).toEqual([0, 0, 0]);
  });

  it('hands back at once what does not finish in time, for another process to do, without using up an attempt', async () => {
    const { clock, events, runner, enqueue, row } = await openRunner();
    const started = gate();
    runner.handle(TEST, ({ signal }) => {
      started.resolve(undefined);
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    });
    await runner.start();
    await enqueue(TEST, ['a']);
    await started.promise;
    const drained = runner.drain(10_000);
    await eventually(() => {
      clock.advance(10_000);
      expect(events).toMatchObject([{ outcome: 'returned' }]);
    });
    expect(await drained).toBe(0);
    expect(await row('a')).toMatchObject({ attempts: 0, leased_by: null, done_at: null });
    expect((await row('a')).not_before_at).toBeLessThanOrEqual(clock.now());
  });

  it('does not wait for ever for a handler that ignores it, and says so', async () => {
    const { clock, runner, enqueue } = await openRunner();
    const started = gate();
    const never = gate();
    runner.handle(TEST, () => (started.resolve(undefined), never.promise));
    await runner.start();
    await enqueue(TEST, ['a']);
    await started.promise;
    let stillRunning: number | undefined;
    void runner.drain(10_000).then((count) => (stillRunning = count));
    await eventually(() => {
      clock.advance(1000);
      expect(stillRunning).toBe(1);
    });
    never.resolve(undefined);
  });
});

it('a topic is registered once, before the start', async () => {
  const { runner } = await openRunner();
  runner.handle(TEST, () => Promise.resolve());
  expect(() => runner.handle(TEST, () => Promise.resolve())).toThrow('registered too late, or twice');
  await runner.start();
  expect(() => runner.handle(OTHER, () => Promise.resolve())).toThrow('registered too late, or twice');
});
