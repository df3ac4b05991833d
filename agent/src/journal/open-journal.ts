/**
 * Opens the journal file: makes it where there is none, and refuses one that is held, newer or damaged. A
 * damaged journal is never repaired or replaced here: an agent that forgot its instances must say so.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import type { Random } from '@dc/shared/random';
import Database from 'better-sqlite3';
import { lockFile, type FileLock } from './file-lock.ts';
import type { Journal, JournalReader } from './journal.ts';
import { JOURNAL_VERSION, migrate, readVersion } from './migrations.ts';
import { translateError } from './sqlite-error.ts';
import { SqliteJournal } from './sqlite-journal.ts';
import { JOURNAL_ID, SqliteReader } from './sqlite-reader.ts';

/** Marks the file as one of ours ("dcJ1"). */
const APPLICATION_ID = 0x64634a31;

export interface OpenOptions {
  /** For the journal's id. */
  random: Random;
  /** For crash tests: called around every outermost `write`; what it throws ends that write. */
  onWrite?: (label: string, moment: 'before' | 'after') => void;
}

/**
 * Opens the journal at `path` for the one process that writes, making it where there is none; `:memory:` keeps
 * nothing. Throws DATABASE_LOCKED, DATABASE_NEWER or JOURNAL_CORRUPT, and then has changed nothing.
 */
export function openJournal(path: string, options: OpenOptions): Journal {
  if (path === ':memory:') {
    const db = new Database(path);
    initialise(db, path, options.random);
    prepareConnection(db);
    return new SqliteJournal(db, () => undefined, options.onWrite);
  }
  if (!existsSync(dirname(path))) {
    throw new AppError('DATABASE_UNUSABLE', `The folder of the journal ${path} does not exist.`);
  }
  const file = existsSync(path) ? realpathSync(path) : path;
  let lock: FileLock | undefined;
  try {
    lock = lockFile(file);
    if (isMissing(file)) createFile(file, options.random);
    return new SqliteJournal(openFile(file), lock.release, options.onWrite);
  } catch (error) {
    lock?.release();
    throw translateError(error, file);
  }
}

/**
 * Opens the journal for reading, while the daemon runs or not. Throws JOURNAL_CORRUPT, DATABASE_NEWER, or
 * DATABASE_OLDER for one that a newer daemon has yet to migrate.
 */
export function openJournalReader(path: string): JournalReader {
  if (isMissing(path)) throw new AppError('JOURNAL_MISSING', `There is no journal at ${path}.`);
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { readonly: true, fileMustExist: true });
    assertOurs(db, path);
    if (readVersion(db, path) < JOURNAL_VERSION) {
      throw new AppError('DATABASE_OLDER', `The journal ${path} was written by an older version.`);
    }
    return new SqliteReader(db);
  } catch (error) {
    db?.close();
    throw translateError(error, path);
  }
}

/** True where there is no journal at all. Throws JOURNAL_CORRUPT where only remains of one are there. */
function isMissing(path: string): boolean {
  const size = existsSync(path) ? statSync(path).size : null;
  if (size !== null && size > 0) return false;
  // A journal appears under its name only when it is whole (`createFile`): an empty one has been cut off.
  if (size === 0) throw corrupt(path, 'it is empty');
  if (existsSync(`${path}-wal`)) throw corrupt(path, 'the file is gone, only its log is left');
  return true;
}

/** Makes a whole journal under another name, then renames it: a crash leaves none or a good one. */
function createFile(path: string, random: Random): void {
  const draft = `${path}.new`;
  for (const end of ['', '-wal', '-shm', '-journal']) rmSync(draft + end, { force: true });
  closeSync(openSync(draft, 'wx', 0o600)); // SQLite gives its other files the same mode.
  const db = new Database(draft);
  try {
    db.pragma('synchronous = OFF'); // It is synced as a whole below, before it gets its name.
    initialise(db, draft, random);
  } finally {
    db.close();
  }
  syncPath(draft);
  renameSync(draft, path);
  syncPath(dirname(path));
}

function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function initialise(db: Database.Database, path: string, random: Random): void {
  db.pragma(`application_id = ${String(APPLICATION_ID)}`);
  migrate(db, path);
  db.prepare('INSERT INTO facts VALUES (?, ?)').run(JOURNAL_ID, toHex(random.bytes(16)));
  db.pragma('journal_mode = WAL');
}

function openFile(path: string): Database.Database {
  const db = new Database(path, { fileMustExist: true });
  try {
    assertOurs(db, path);
    readVersion(db, path);
    const verdict = db.pragma('quick_check(1)', { simple: true });
    if (verdict !== 'ok') throw corrupt(path, String(verdict));
    prepareConnection(db);
    migrate(db, path);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function prepareConnection(db: Database.Database): void {
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL'); // With less, a power cut takes commits back that we have acted upon.
  db.pragma('foreign_keys = ON');
  db.pragma('secure_delete = ON'); // A saga's secret is overwritten when it is forgotten.
}

function assertOurs(db: Database.Database, path: string): void {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
    throw corrupt(path, 'it is not a journal');
}

function corrupt(path: string, why: string): AppError {
  return new AppError('JOURNAL_CORRUPT', `The journal ${path} cannot be trusted: ${why}.`);
}
