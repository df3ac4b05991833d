import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { Database } from '../database/database.ts';
import { openFile, openTestDatabase, type TestDatabase } from '../database/testing/test-database.ts';
import { Signals, type SignalTopic } from './signals.ts';

const POLL_MS = 500;

let db: TestDatabase;
let clock: ManualClock;
let errors: unknown[];
beforeEach(async () => {
  db = await openTestDatabase();
  clock = new ManualClock();
  errors = [];
});

/** One coordinator process. It has begun to listen. */
async function start(on: Pick<Database, 'read'> = db): Promise<Signals> {
  const signals = new Signals({
    db: on,
    clock,
    log: { error: (...words: unknown[]) => void errors.push(words) },
  });
  await signals.start();
  onTestFinished(() => signals.stop());
  return signals;
}

/** What a listener has heard so far. */
function hear(signals: Signals, topic: SignalTopic, key: string) {
  const heard = { times: 0, stop: (): void => undefined };
  heard.stop = signals.listen(topic, key, () => (heard.times += 1));
  return heard;
}

const emit = (signals: Signals, topic: SignalTopic, key: string, on: Database = db): Promise<void> =>
  on.write((trx) => signals.emit(trx, topic, key));

describe('a signal', () => {
  it('is heard right after the commit, by those who listen for it and nobody else', async () => {
    const signals = await start();
    const one = hear(signals, 'contract', 'a');
    const same = hear(signals, 'contract', 'a');
    const others = [hear(signals, 'contract', 'b'), hear(signals, 'pool', 'a')];
    await emit(signals, 'contract', 'a');
    await clock.advance(0);
    expect([one.times, same.times]).toEqual([1, 1]);
    expect(others.map(({ times }) => times)).toEqual([0, 0]);
  });

  it('of a transaction that failed is never heard', async () => {
    const signals = await start();
    const heard = hear(signals, 'contract', 'a');
    const failing = db.write(async (trx) => {
      await signals.emit(trx, 'contract', 'a');
      throw new Error('undone');
    });
    await expect(failing).rejects.toThrow('undone');
    await clock.advance(2 * POLL_MS);
    expect(heard.times).toBe(0);
  });

  it('that comes several times in one transaction is heard once', async () => {
    const signals = await start();
    const heard = hear(signals, 'contract', 'a');
    await db.write(async (trx) => {
      for (let count = 0; count < 5; count += 1) await signals.emit(trx, 'contract', 'a');
    });
    await clock.advance(0);
    expect(heard.times).toBe(1);
  });

  it('is not lost in a storm of others', async () => {
    const signals = await start();
    const heard = Array.from({ length: 50 }, (_, index) => hear(signals, 'contract', String(index)));
    await Promise.all(heard.map((_, index) => emit(signals, 'contract', String(index))));
    await clock.advance(0);
    expect(heard.map(({ times }) => times)).toEqual(Array(50).fill(1));
  });

  it('of another process is heard at the next poll', async () => {
    const [here, there] = [await start(), await start(openFile(db.file))];
    const heard = hear(there, 'pool', 'p');
    await emit(here, 'pool', 'p');
    await clock.advance(POLL_MS - 1);
    expect(heard.times).toBe(0);
    await clock.advance(1);
    expect(heard.times).toBe(1);
    await clock.advance(5 * POLL_MS);
    expect(heard.times).toBe(1);
  });

  it('from before the start is not heard', async () => {
    const signals = await start();
    await emit(signals, 'contract', 'a');
    const late = await start();
    const heard = hear(late, 'contract', 'a');
    await clock.advance(2 * POLL_MS);
    expect(heard.times).toBe(0);
  });

  it('is not heard by those who have stopped listening, also while others hear it', async () => {
    const signals = await start();
    const second = hear(signals, 'contract', 'a');
    second.stop();
    second.stop();
    const third = hear(signals, 'contract', 'a');
    signals.listen('contract', 'a', () => third.stop());
    await emit(signals, 'contract', 'a');
    await emit(signals, 'contract', 'a');
    await clock.advance(0);
    expect(second.times).toBe(0);
    expect(third.times).toBeLessThanOrEqual(1);
  });
});

describe('a process', () => {
  it('that slept longer than signals are kept makes everybody look', async () => {
    const [here, there] = [await start(), await start(openFile(db.file))];
    const heard = [hear(there, 'contract', 'a'), hear(there, 'pool', 'p')];
    await emit(here, 'contract', 'a');
    clock.jump(61_000); // Suspended: the clock goes on, no timer fires.
    await db.write((trx) => Signals.prune(trx, clock.now()));
    expect(await db.read.selectFrom('signals').selectAll().execute()).toEqual([]);
    await clock.advance(POLL_MS);
    expect(heard.map(({ times }) => times)).toEqual([1, 1]);
    await clock.advance(POLL_MS);
    expect(heard.map(({ times }) => times)).toEqual([1, 1]);
  });

  it('that cannot read says so, goes on, and catches up', async () => {
    const broken = await openTestDatabase();
    await broken.close();
    let isBroken = false;
    const signals = await start({
      get read() {
        return isBroken ? broken.read : db.read;
      },
    });
    const heard = hear(signals, 'contract', 'a');
    isBroken = true;
    await emit(signals, 'contract', 'a');
    await clock.advance(POLL_MS);
    expect(heard.times).toBe(0);
    expect(errors).toHaveLength(2); // After the commit, and at the poll.
    isBroken = false;
    await clock.advance(POLL_MS);
    expect(heard.times).toBe(1);
  });

  it('that has stopped leaves no timer and hears nothing more', async () => {
    const signals = await start();
    const heard = hear(signals, 'contract', 'a');
    await signals.stop();
    expect(clock.timerCount).toBe(0);
    await emit(signals, 'contract', 'a');
    await clock.advance(10 * POLL_MS);
    expect(heard.times).toBe(0);
  });
});

describe('old signals', () => {
  it('are pruned a minute after they were written', async () => {
    const signals = await start();
    await emit(signals, 'contract', 'old');
    clock.jump(60_000);
    await emit(signals, 'contract', 'new');
    clock.jump(1);
    await db.write((trx) => Signals.prune(trx, clock.now()));
    const left = await db.read.selectFrom('signals').select('key').execute();
    expect(left).toEqual([{ key: 'new' }]);
  });
});
