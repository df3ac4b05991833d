import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { systemClock } from '../lib/system-clock.ts';
import type { Database } from './database.ts';
import { appliedMigrations, migrate } from './migrate.ts';
import { MIGRATIONS } from './migrations/index.ts';
import type { Migration } from './migrations/migration.ts';
import { openFile, testFolder } from './testing/test-database.ts';

const openEmpty = (): Database => openFile(join(testFolder(), 'empty.sqlite'));
const makes = (name: string, ...tables: string[]): Migration => ({
  name,
  up: async (trx) => {
    for (const table of tables) await sql.raw(`create table ${table} (x integer)`).execute(trx);
  },
});
const tablesOf = async (database: Database): Promise<unknown[]> => {
  const { rows } = await sql<{
    name: string;
  }>`select name from sqlite_master where type = 'table' order by name`.execute(database.read);
  return rows.map((row) => row.name);
};

describe('migrating', () => {
  it('applies what is new, in order, once', async () => {
    const database = openEmpty();
    expect(await appliedMigrations(database.read)).toEqual([]);
    expect(await migrate(database, systemClock, [makes('0001', 'a')])).toEqual(['0001']);
    expect(await migrate(database, systemClock, [makes('0001', 'a'), makes('0002', 'b')])).toEqual(['0002']);
    expect(await migrate(database, systemClock, [makes('0001', 'a'), makes('0002', 'b')])).toEqual([]);
    expect(await appliedMigrations(database.read)).toEqual(['0001', '0002']);
    expect(await tablesOf(database)).toEqual(['a', 'b', 'migrations']);
  });

  it('leaves nothing of a migration that fails half way, keeps those before it, and can be tried again', async () => {
    const database = openEmpty();
    const broken = [makes('0001', 'a'), makes('0002', 'b', 'c', 'b')];
    await expect(migrate(database, systemClock, broken)).rejects.toThrow('table b already exists');
    expect(await tablesOf(database)).toEqual(['a', 'migrations']);
    expect(await migrate(database, systemClock, [makes('0001', 'a'), makes('0002', 'b', 'c')])).toEqual([
      '0002',
    ]);
  });

  it('refuses a database that a newer program has migrated, and changes nothing', async () => {
    const database = openEmpty();
    await migrate(database, systemClock, [makes('0001', 'a'), makes('0003', 'c')]);
    const older = migrate(database, systemClock, [makes('0001', 'a'), makes('0002', 'b')]);
    expect(await older.catch((error: unknown) => isAppError(error) && error.code)).toBe('DATABASE_NEWER');
    expect(await tablesOf(database)).toEqual(['a', 'c', 'migrations']);
  });

  it('is done once when two connections start at the same time', async () => {
    const file = join(testFolder(), 'shared.sqlite');
    const both = await Promise.all(
      [openFile(file), openFile(file)].map((one) => migrate(one, systemClock, MIGRATIONS)),
    );
    expect(both.flat().toSorted()).toEqual(MIGRATIONS.map((migration) => migration.name));
  });
});

it('the migrations of the program have names that sort in their order', () => {
  const names = MIGRATIONS.map((migration) => migration.name);
  expect(names).toEqual([...new Set(names)].toSorted());
});
