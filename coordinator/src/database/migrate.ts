/**
 * Brings the schema up to date. Each migration runs in one transaction with the row that records it, under the
 * database's own write lock, so that it happens whole or not at all, and once, however many processes start together.
 */
import { sql } from 'kysely';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Database, Reader, Transaction } from './database.ts';
import type { Migration } from './migrations/migration.ts';

/**
 * Applies those of `migrations` that the database has not had, in order, and resolves with their names. Throws
 * DATABASE_NEWER, having changed nothing, when the database has had one that this program does not know.
 */
export async function migrate(
  database: Database,
  clock: Clock,
  migrations: readonly Migration[],
): Promise<string[]> {
  const applied: string[] = [];
  const had = await appliedMigrations(database.read);
  assertKnown(had, migrations);
  for (const migration of migrations) {
    if (had.includes(migration.name)) continue;
    // Somebody else may be faster: it looks once more.
    const isNew = await database.write((trx) => applyOnce(trx, { migration, migrations, clock }));
    if (isNew) applied.push(migration.name);
  }
  return applied;
}

/** The names of the migrations that the database has had, in order; none where it is new. */
export async function appliedMigrations(reader: Reader): Promise<string[]> {
  const { rows } =
    await sql`select 1 from sqlite_master where type = 'table' and name = 'migrations'`.execute(reader);
  if (rows.length === 0) return [];
  const migrations = await reader.selectFrom('migrations').select('name').orderBy('name').execute();
  return migrations.map((row) => row.name);
}

interface Application {
  migration: Migration;
  migrations: readonly Migration[];
  clock: Clock;
}

function assertKnown(had: readonly string[], migrations: readonly Migration[]): void {
  const unknown = had.find((name) => !migrations.some((known) => known.name === name));
  if (unknown === undefined) return;
  throw new AppError(
    'DATABASE_NEWER',
    `The database has had the migration ${unknown}, which this program does not know.`,
  );
}

async function applyOnce(trx: Transaction, { migration, migrations, clock }: Application): Promise<boolean> {
  const had = await appliedMigrations(trx);
  assertKnown(had, migrations);
  if (had.includes(migration.name)) return false;
  await sql`create table if not exists migrations (name text not null primary key, applied_at bigint not null)`.execute(
    trx,
  );
  await migration.up(trx);
  await trx.insertInto('migrations').values({ name: migration.name, applied_at: clock.now() }).execute();
  return true;
}
