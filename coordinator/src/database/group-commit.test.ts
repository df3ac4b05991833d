import BetterSqlite3 from 'better-sqlite3';
import { sql } from 'kysely';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Clock } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import { nextTurn, systemClock } from '../lib/system-clock.ts';
import type { Reader, Transaction } from './database.ts';
import { openTestDatabase } from './testing/test-database.ts';
import type { TestDatabase } from './testing/test-database.ts';

const put = (trx: Transaction, key: string, value = '') =>
  trx.insertInto('meta').values({ key, value }).execute();
const keys = async (reader: Reader): Promise<string[]> =>
  (await reader.selectFrom('meta').select('key').orderBy('key').execute()).map((row) => row.key);
const codeOf = (error: unknown): string => (isAppError(error) ? error.code : String(error));

/** A connection of somebody else's. */
function otherConnection(database: TestDatabase): BetterSqlite3.Database {
  const other = new BetterSqlite3(database.file, { timeout: 0 });
  onTestFinished(() => void other.close());
  return other;
}

describe('a write', () => {
  it('is on the disk when its caller hears of it', async () => {
    const database = await openTestDatabase();
    const other = otherConnection(database);
    await expect(database.write(async (trx) => [await put(trx, 'a'), 'result'][1])).resolves.toBe('result');
    expect(other.prepare('select key from meta').all()).toEqual([{ key: 'a' }]);
    expect(await keys(database.read)).toEqual(['a']);
  });

  it('changes nothing when its job throws, and its caller gets that error', async () => {
    const database = await openTestDatabase();
    const failing = database.write(async (trx) => {
      await put(trx, 'a');
      throw new Error('no good');
    });
    await expect(failing).rejects.toThrow('no good');
    await expect(
      database.write(() => {
        throw new Error('at once');
      }),
    ).rejects.toThrow('at once');
    expect(await keys(database.read)).toEqual([]);
  });

  it('shares a transaction with those of the same turn: each sees the one before, no reader sees any', async () => {
    const database = await openTestDatabase();
    const seen: string[][] = [];
    const look = async (trx: Transaction, key: string): Promise<void> => {
      seen.push(await keys(trx), await keys(database.read));
      await put(trx, key);
    };
    await Promise.all([database.write((trx) => look(trx, 'a')), database.write((trx) => look(trx, 'b'))]);
    expect(seen).toEqual([[], [], ['a'], []]);
    expect(await keys(database.read)).toEqual(['a', 'b']);
  });

  it('waits after a slow flush for as long as that took, so that the sockets are read and more share the next one', async () => {
    let isSlow = true;
    let timeMs = 0;
    const rests: { delayMs: number; end: () => void }[] = [];
    const clock: Clock = {
      now: () => systemClock.now(),
      monotonic: () => (isSlow ? (timeMs += 4) : timeMs), // Whatever lies between two looks at it takes 4 ms.
      schedule(delayMs, callback) {
        if (delayMs > 5) return () => undefined; // A job's deadline, seconds away.
        rests.push({ delayMs, end: callback });
        return () => undefined;
      },
    };
    const database = await openTestDatabase({ clock });
    await database.write((trx) => put(trx, 'a'));
    isSlow = false; // The next one comes at once.
    let committed = 0;
    const write = (key: string): Promise<void> =>
      database.write(async (trx) => {
        await put(trx, key);
        trx.afterCommit(() => void (committed += 1));
      });
    const writes = [write('b')];
    while (rests.length === 0) await nextTurn();
    writes.push(write('c'), write('d'));
    for (let turns = 0; turns < 5; turns += 1) await nextTurn();
    expect({ committed, waits: rests.map(({ delayMs }) => delayMs) }).toEqual({ committed: 0, waits: [4] });
    rests[0]?.end();
    await Promise.all(writes);
    expect({ committed, rests: rests.length }).toEqual({ committed: 3, rests: 1 });
  });

  it('among very many leaves the event loop its turns, and shares its transaction all the same', async () => {
    const database = await openTestDatabase();
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    const turnsAt: number[] = [];
    const seen: string[][] = [];
    const writes = Array.from({ length: 50 }, (_, index) =>
      database.write(async (trx) => {
        turnsAt.push(turns);
        seen.push(await keys(database.read));
        await put(trx, String(index));
      }),
    );
    setImmediate(count);
    await Promise.all(writes);
    isOver = true;
    expect(new Set(turnsAt).size).toBe(4); // 16 and 16 and 16 and 2.
    expect(seen.flat()).toEqual([]); // Until the one commit nobody sees any of it.
    expect(await keys(database.read)).toHaveLength(50);
  });

  it('that fails undoes itself and none of its neighbours', async () => {
    const database = await openTestDatabase();
    const results = await Promise.allSettled([
      database.write((trx) => put(trx, 'a')),
      database.write(async (trx) => {
        await put(trx, 'b');
        await put(trx, 'a'); // There already: a constraint of the database itself.
      }),
      database.write(async (trx) => {
        await put(trx, 'c');
        return Promise.reject(new Error('mine'));
      }),
      database.write((trx) => put(trx, 'd')),
    ]);
    expect(results.map((result) => result.status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    expect(await keys(database.read)).toEqual(['a', 'd']);
  });

  it('that only fails at the commit fails alone', async () => {
    const database = await openTestDatabase();
    const unsealed = { id: 's', cause: 'c', kind: 'k', contract_id: null, currency: 'USD', at: 1 };
    const results = await Promise.allSettled([
      database.write((trx) => put(trx, 'a')),
      database.write((trx) => trx.insertInto('ledger_sets').values(unsealed).execute()),
      database.write((trx) => put(trx, 'b')),
    ]);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toHaveProperty('reason.code', 'SQLITE_CONSTRAINT_FOREIGNKEY');
    expect(await keys(database.read)).toEqual(['a', 'b']);
  });

  it('cannot be used once its job has ended, nor leak into another', async () => {
    const database = await openTestDatabase();
    const kept = await database.write((trx) => Promise.resolve({ trx }));
    await expect(put(kept.trx, 'a')).rejects.toThrow('this write has ended');
    expect(await keys(database.read)).toEqual([]);
  });

  it('refuses a write inside it, which would wait for itself', async () => {
    const database = await openTestDatabase();
    const nested = database.write(() => database.write((trx) => put(trx, 'a')));
    await expect(nested).rejects.toThrow('a write inside a write');
    await database.write((trx) => put(trx, 'b'));
    expect(await keys(database.read)).toEqual(['b']);
  });

  it('is stopped at its deadline when it waits for something else, and the next ones go on', async () => {
    const timers: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      schedule: (_delayMs, callback) => {
        timers.push(callback);
        return () => undefined;
      },
    };
    const database = await openTestDatabase({ clock });
    const started = Promise.withResolvers<Transaction>();
    const hung = database.write(async (trx) => {
      await put(trx, 'a');
      started.resolve(trx);
      await new Promise<never>(() => undefined);
    });
    const outcome = hung.catch(codeOf);
    const trx = await started.promise;
    const next = database.write((other) => put(other, 'b'));
    for (const fire of timers) fire();
    expect(await outcome).toBe('SERVICE_UNAVAILABLE');
    await next;
    await expect(put(trx, 'c')).rejects.toThrow('this write has ended');
    expect(await keys(database.read)).toEqual(['b']);
  });
});

describe('after the commit', () => {
  it('actions run in order, see what was written, and never run for what was rolled back', async () => {
    const database = await openTestDatabase();
    const ran: string[] = [];
    const writes = ['a', 'b', 'c'].map((key) =>
      database.write(async (trx) => {
        trx.afterCommit(() => void ran.push(`${key}1`));
        await put(trx, key);
        trx.afterCommit(() => void ran.push(`${key}2`));
        if (key === 'b') throw new Error('no good');
      }),
    );
    await Promise.allSettled(writes);
    expect(ran).toEqual(['a1', 'a2', 'c1', 'c2']);
  });

  it('an action that fails is logged, and hurts nobody', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });
    const database = await openTestDatabase({ log });
    await database.write(async (trx) => {
      trx.afterCommit(() => {
        throw new Error('thrown');
      });
      trx.afterCommit(() => Promise.reject(new Error('rejected')));
      trx.afterCommit(() => void lines.push('third'));
      await put(trx, 'a');
    });
    await database.write((trx) => put(trx, 'b'));
    expect(lines.join()).toMatch(/thrown.*third.*rejected|third.*thrown.*rejected|thrown.*rejected.*third/s);
  });

  it('an action may write again', async () => {
    const database = await openTestDatabase();
    const again = Promise.withResolvers<unknown>();
    await database.write(async (trx) => {
      await put(trx, 'a');
      trx.afterCommit(() => again.resolve(database.write((next) => put(next, 'b'))));
    });
    await again.promise;
    expect(await keys(database.read)).toEqual(['a', 'b']);
  });
});

describe('limits', () => {
  it('refuse a write when too many wait, and take the next when they are done', async () => {
    const database = await openTestDatabase();
    const waiting = Array.from({ length: 10_000 }, () => database.write(() => Promise.resolve(1)));
    await expect(database.write((trx) => put(trx, 'a')).catch(codeOf)).resolves.toBe('SERVICE_UNAVAILABLE');
    expect(await Promise.all(waiting)).toHaveLength(10_000);
    await database.write((trx) => put(trx, 'b'));
    expect(await keys(database.read)).toEqual(['b']);
  });

  it('closing lets the waiting writes finish and refuses new ones', async () => {
    const database = await openTestDatabase();
    const waiting = database.write((trx) => put(trx, 'a'));
    const closing = database.close();
    await expect(database.write((trx) => put(trx, 'b')).catch(codeOf)).resolves.toBe('SERVICE_UNAVAILABLE');
    await waiting;
    await closing;
    await database.close();
    expect(otherConnection(database).prepare('select key from meta').all()).toEqual([{ key: 'a' }]);
  });

  it('give up on a lock that another process never lets go, and wait for one that it does', async () => {
    const database = await openTestDatabase({ busyTimeoutMs: 50 });
    const other = otherConnection(database);
    other.exec('begin immediate');
    await expect(database.write((trx) => put(trx, 'a')).catch(codeOf)).resolves.toBe('SERVICE_UNAVAILABLE');
    const patient = database.write((trx) => put(trx, 'b'));
    setTimeout(() => other.exec('commit'), 5);
    await patient;
    expect(await keys(database.read)).toEqual(['b']);
  });

  it('a full disk fails clearly, changes nothing, and is over when there is room again', async () => {
    const database = await openTestDatabase();
    const limitPages = (pages: number) =>
      database.write((trx) => sql.raw(`pragma max_page_count = ${pages}`).execute(trx));
    await limitPages(1); // SQLite takes the present size for less than it.
    const results = await Promise.allSettled([
      database.write((trx) => put(trx, 'small')),
      database.write((trx) => put(trx, 'big', 'x'.repeat(1_000_000))),
    ]);
    expect(results[1]).toHaveProperty('reason.code', 'DATABASE_FULL');
    const wasStored = results[0].status === 'fulfilled';
    expect(await keys(database.read)).toEqual(wasStored ? ['small'] : []);
    await expect(database.write((trx) => put(trx, 'big', 'x'.repeat(1_000_000)))).rejects.toThrow(
      'disk is full',
    );
    await limitPages(100_000);
    await database.write((trx) => put(trx, 'big', 'x'.repeat(1_000_000)));
    expect(await keys(database.read)).toContain('big');
  });
});
