/** Opens the SQLite file: one connection that writes, one that can only read. The schema is migrate.ts's business. */
import { closeSync, openSync } from 'node:fs';
import BetterSqlite3 from 'better-sqlite3';
import { Kysely } from 'kysely';
import type { BaseLogger } from 'pino';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { Database, Reader } from './database.ts';
import { GroupCommit } from './group-commit.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import type { Tables } from './tables.ts';

/** Longer than any sane write of another process; a caller's own deadline is shorter than a proxy's. */
const BUSY_TIMEOUT_MS = 5000;
/** SQLite waits inside the call and stops the event loop: only this long, then the writer waits outside. */
const BLOCKING_BUSY_MS = 10;

const SNAPSHOT_MAPPED_BYTES = 4 * 1024 ** 3;

export interface OpenDatabaseOptions {
  /** Path of the file; it is made, readable by its owner only, where there is none. Its folder must exist. */
  file: string;
  clock: Clock;
  random: Random;
  log: Pick<BaseLogger, 'error'>;
  /** How long a write waits for another process, in milliseconds. */
  busyTimeoutMs?: number;
}

/** Opens the database. Throws DATABASE_UNUSABLE where the file is not a database or may not be opened. */
export function openDatabase(options: OpenDatabaseOptions): Database {
  const { file, clock, random, log, busyTimeoutMs = BUSY_TIMEOUT_MS } = options;
  const { writer, reader } = openHandles(file);
  const groupCommit = new GroupCommit({
    handle: writer,
    connection: new SqliteConnection(writer),
    clock,
    random,
    log,
    busyTimeoutMs,
  });
  return {
    read: readerOn(reader),
    write: (job) => groupCommit.write(job),
    snapshot: (job) => runSnapshot(file, job),
    async close() {
      await groupCommit.close();
      if (!writer.open) return;
      reader.close();
      // Best effort: where another process still reads, the log stays, and that process truncates it later.
      writer.pragma('wal_checkpoint(truncate)');
      writer.close();
    },
  };
}

function openHandles(file: string): { writer: BetterSqlite3.Database; reader: BetterSqlite3.Database } {
  if (file === '' || file === ':memory:')
    throw new TypeError('the database is a file: its reader is a second connection');
  let writer: BetterSqlite3.Database | undefined;
  try {
    // SQLite would make the file readable by everybody; its log takes over the mode of the file.
    closeSync(openSync(file, 'a', 0o600));
    writer = new BetterSqlite3(file, { timeout: BUSY_TIMEOUT_MS });
    writer.pragma('journal_mode = wal');
    writer.pragma('synchronous = full');
    // On macOS alone a flush needs this to reach the disk.
    writer.pragma('fullfsync = on');
    writer.pragma('foreign_keys = on');
    // Without it, REPLACE deletes rows behind the backs of the triggers that forbid it.
    writer.pragma('recursive_triggers = on');
    writer.pragma(`busy_timeout = ${BLOCKING_BUSY_MS}`);
    return { writer, reader: openReader(file) };
  } catch (error) {
    writer?.close();
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new AppError('DATABASE_UNUSABLE', `The database file ${file} cannot be opened: ${code}.`, {
      cause: error,
    });
  }
}

function openReader(file: string): BetterSqlite3.Database {
  return new BetterSqlite3(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
}

function readerOn(handle: BetterSqlite3.Database): Reader {
  const connection = new SqliteConnection(handle);
  return new Kysely<Tables>(kyselyOn({ provideConnection: (consumer) => consumer(connection) }));
}

async function runSnapshot<T>(file: string, job: (reader: Reader) => Promise<T>): Promise<T> {
  const handle = openReader(file);
  try {
    // A snapshot is for reading very much: what is mapped is read without a system call for each page.
    handle.pragma(`mmap_size = ${SNAPSHOT_MAPPED_BYTES}`);
    handle.exec('begin');
    return await job(readerOn(handle));
  } finally {
    // Ends the read transaction with it.
    handle.close();
  }
}
