import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import BetterSqlite3 from 'better-sqlite3';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { openFile, openTestDatabase, testFolder } from './testing/test-database.ts';
import { runProgram } from './testing/run-program.ts';

const COUNT_PROGRAM = fileURLToPath(new URL('./testing/count-program.ts', import.meta.url));

const put = (key: string) => sql`insert into meta (key, value) values (${key}, '')`;

describe('the file', () => {
  it('belongs to its owner alone, with its log, and is whole without the log after closing', async () => {
    const file = join(testFolder(), 'new.sqlite');
    const database = openFile(file);
    await database.write((trx) => sql`create table t (x integer)`.execute(trx));
    for (const suffix of ['', '-wal']) expect(statSync(file + suffix).mode & 0o777).toBe(0o600);
    await database.close();
    expect(existsSync(`${file}-wal`)).toBe(false);
  });

  it('flushes every commit and checks every reference', async () => {
    const database = await openTestDatabase();
    const setting = (name: string) =>
      database.write(async (trx) => (await sql.raw(`pragma ${name}`).execute(trx)).rows);
    expect(await setting('journal_mode')).toEqual([{ journal_mode: 'wal' }]);
    expect(await setting('synchronous')).toEqual([{ synchronous: 2 }]);
    expect(await setting('foreign_keys')).toEqual([{ foreign_keys: 1 }]);
    expect(await setting('recursive_triggers')).toEqual([{ recursive_triggers: 1 }]);
  });

  it.each([
    ['in a folder that is not there', (folder: string) => join(folder, 'no', 'x.sqlite')],
    ['that is a folder', (folder: string) => (mkdirSync(join(folder, 'd')), join(folder, 'd'))],
    [
      'that is no database',
      (folder: string) => (writeFileSync(join(folder, 'x'), 'text '.repeat(999)), join(folder, 'x')),
    ],
  ])('%s is refused with what is wrong with it', (_case, make) => {
    const file = make(testFolder());
    let caught: unknown;
    try {
      openFile(file);
    } catch (error) {
      caught = error;
    }
    expect(isAppError(caught, 'DATABASE_UNUSABLE')).toBe(true);
    expect(String(caught)).toContain(file);
  });

  it('is not memory, which a second connection could not read', () => {
    expect(() => openFile(':memory:')).toThrow(TypeError);
  });
});

describe('reading', () => {
  it('cannot change anything', async () => {
    const database = await openTestDatabase();
    await expect(put('a').execute(database.read)).rejects.toHaveProperty('code', 'SQLITE_READONLY');
  });

  it('sees each commit, and a snapshot none of those after its first look', async () => {
    const database = await openTestDatabase();
    const count = () => sql<{ n: number }>`select count(*) as n from meta`;
    const seen = await database.snapshot(async (reader) => {
      const before = (await count().execute(reader)).rows[0]?.n;
      await database.write((trx) => put('a').execute(trx));
      const after = (await count().execute(reader)).rows[0]?.n;
      await expect(put('b').execute(reader)).rejects.toHaveProperty('code', 'SQLITE_READONLY');
      return [before, after, (await count().execute(database.read)).rows[0]?.n];
    });
    expect(seen).toEqual([0, 0, 1]);
  });

  it('through a snapshot leaves no connection behind when it throws', async () => {
    const database = await openTestDatabase();
    await expect(database.snapshot(() => Promise.reject(new Error('no good')))).rejects.toThrow('no good');
    await database.write((trx) => put('a').execute(trx));
    await database.close();
    expect(existsSync(`${database.file}-wal`)).toBe(false);
  });
});

describe('several processes on one file', () => {
  it('start at once on a new file, and lose no update', { timeout: 60_000 }, async () => {
    const file = join(testFolder(), 'shared.sqlite');
    const programs = [1, 2, 3].map(() => runProgram(COUNT_PROGRAM, [file, '200']));
    await Promise.all(programs.map((program) => program.finished));
    const handle = new BetterSqlite3(file);
    expect(handle.prepare('select value from meta').all()).toEqual([{ value: '600' }]);
    expect(handle.pragma('integrity_check', { simple: true })).toBe('ok');
    handle.close();
  });
});
