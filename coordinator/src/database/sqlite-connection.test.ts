import BetterSqlite3 from 'better-sqlite3';
import { Kysely, sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SqliteConnection } from './sqlite-connection.ts';
import { kyselyOn, sqliteDialect } from './sqlite-dialect.ts';

interface Things {
  things: { id: string; amount_e9s: bigint | null; count: number | bigint; note: unknown };
}

function openThings(): { db: Kysely<Things>; handle: BetterSqlite3.Database } {
  const handle = new BetterSqlite3(':memory:');
  onTestFinished(() => void handle.close());
  handle.exec('create table things (id text primary key, amount_e9s bigint, count bigint, note text)');
  const connection = new SqliteConnection(handle);
  return {
    db: new Kysely<Things>(kyselyOn({ provideConnection: (consumer) => consumer(connection) })),
    handle,
  };
}

describe('integers', () => {
  it.each([0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)])(
    'keeps the amount %s whole',
    async (amount) => {
      const { db } = openThings();
      await db.insertInto('things').values({ id: 'a', amount_e9s: amount, count: 7, note: null }).execute();
      const row = await db.selectFrom('things').selectAll().executeTakeFirstOrThrow();
      expect(row).toEqual({ id: 'a', amount_e9s: amount, count: 7, note: null });
    },
  );

  it('goes by the name of the result, so that a sum of amounts is a bigint and a count a number', async () => {
    const { db } = openThings();
    const row = await db
      .selectFrom('things')
      .select(({ fn }) => [
        fn.countAll().as('rows'),
        sql<bigint>`coalesce(sum(amount_e9s), 0)`.as('total_e9s'),
      ])
      .executeTakeFirstOrThrow();
    expect(row).toEqual({ rows: 0, total_e9s: 0n });
  });

  it('throws rather than round an integer that a number cannot hold', async () => {
    const { db } = openThings();
    await db
      .insertInto('things')
      .values({ id: 'a', amount_e9s: null, count: 2n ** 53n, note: null })
      .execute();
    await expect(db.selectFrom('things').select('count').execute()).rejects.toThrow(
      'the integer in count is too large',
    );
    await expect(db.selectFrom('things').select('id').execute()).resolves.toEqual([{ id: 'a' }]);
  });

  it('decodes what an insert returns as well', async () => {
    const { db } = openThings();
    const values = { id: 'a', amount_e9s: 5n, count: 1, note: null };
    const insert = db.insertInto('things').values(values).returningAll();
    expect(await insert.executeTakeFirst()).toEqual(values);
  });

  it('tells how many rows a change touched', async () => {
    const { db } = openThings();
    await db.insertInto('things').values({ id: 'a', amount_e9s: 1n, count: 1, note: null }).execute();
    const update = await db.updateTable('things').set({ count: 2 }).where('id', '=', 'b').executeTakeFirst();
    expect(update.numUpdatedRows).toBe(0n);
  });
});

describe('binding', () => {
  it('stores a whole number as an integer, also in a text column, and a boolean as 0 or 1', async () => {
    const { db } = openThings();
    const stored = async (value: unknown): Promise<unknown> => {
      const { rows } = await sql<{ text: string }>`select cast(${value} as text) as text`.execute(db);
      return rows[0]?.text;
    };
    expect([await stored(1), await stored(true), await stored(false), await stored(1.5)]).toEqual([
      '1',
      '1',
      '0',
      '1.5',
    ]);
  });

  it.each([[undefined], [Number.NaN], [Infinity], [2 ** 53], [new Date(0)], [{ a: 1 }]])(
    'refuses %s instead of storing something else',
    async (value) => {
      const { db } = openThings();
      await expect(sql`select ${sql.val(value)} as x`.execute(db)).rejects.toThrow(TypeError);
    },
  );

  it('refuses a bigint beyond 64 bits', async () => {
    const { db } = openThings();
    await expect(sql`select ${2n ** 63n} as x`.execute(db)).rejects.toThrow(RangeError);
  });

  it('keeps bytes', async () => {
    const { db } = openThings();
    const { rows } = await sql<{ bytes: Uint8Array }>`select ${Buffer.from([0, 255])} as bytes`.execute(db);
    expect([...(rows[0]?.bytes ?? [])]).toEqual([0, 255]);
  });
});

describe('statements', () => {
  it('are prepared once for a text, and a bounded number of them is kept', async () => {
    const { db, handle } = openThings();
    const prepared: string[] = [];
    const prepare = handle.prepare.bind(handle);
    handle.prepare = (text: string) => {
      prepared.push(text);
      return prepare(text);
    };
    const query = (text: string) => sql.raw(text).execute(db);
    for (let i = 0; i < 3; i += 1) await query('select 1 as x');
    expect(prepared).toEqual(['select 1 as x']);
    for (let i = 0; i < 499; i += 1) await query(`select ${i} as y`);
    await query('select 1 as x');
    expect(prepared).toHaveLength(500);
    await query('select 2 as z'); // The 501st text: the one used longest ago goes.
    await query('select 1 as x');
    expect(prepared).toHaveLength(501);
    await query('select 0 as y');
    expect(prepared).toHaveLength(502);
  });

  it('follow the schema when it changes under them', async () => {
    const { db } = openThings();
    await db.insertInto('things').values({ id: 'a', amount_e9s: 1n, count: 1, note: null }).execute();
    expect(await db.selectFrom('things').selectAll().execute()).toHaveLength(1);
    await sql`alter table things add column fee_e9s bigint default 3`.execute(db);
    expect(await db.selectFrom('things').selectAll().executeTakeFirst()).toHaveProperty('fee_e9s', 3n);
  });

  it('keep an amount whole that came into a table which had none', async () => {
    const { db, handle } = openThings();
    handle.exec('create table plain (id text); insert into plain values (1)');
    const query = () => sql`select * from plain`.execute(db);
    await query();
    handle.exec('alter table plain add column fee_e9s bigint default 9007199254740993');
    expect((await query()).rows).toEqual([{ id: '1', fee_e9s: 2n ** 53n + 1n }]);
  });

  it('are planned once, also for an equality beside an ORDER BY, and with a LIMIT', async () => {
    const { db } = openThings();
    for (const id of ['a', 'b'])
      await db.insertInto('things').values({ id, amount_e9s: 1n, count: 1, note: 'n' }).execute();
    const ask = (note: string, limit: number) =>
      db.selectFrom('things').select('id').where('note', '=', note).orderBy('id').limit(limit).execute();
    await ask('n', 1);
    // The driver makes the function that makes rows anew after each new plan.
    const make = globalThis.Function;
    let plans = 0;
    globalThis.Function = new Proxy(make, {
      apply: (target, that, values: unknown[]): unknown => {
        plans += 1;
        return Reflect.apply(target, that, values);
      },
    });
    onTestFinished(() => void (globalThis.Function = make));
    expect(await ask('n', 2)).toHaveLength(2);
    expect(await ask('n', 1)).toHaveLength(1);
    expect(plans).toBe(0);
    await sql.raw('create table another (id text)').execute(db);
    await ask('n', 2);
    expect(plans, 'after the schema changed').toBe(1);
  });

  it('are not streamed', async () => {
    const { db } = openThings();
    await expect(db.selectFrom('things').selectAll().stream().next()).rejects.toThrow('read page by page');
  });
});

it('says to Kysely that a failed migration can be rolled back', () => {
  expect(sqliteDialect.createAdapter().supportsTransactionalDdl).toBe(true);
});
