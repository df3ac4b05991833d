/**
 * One process at a time: a lock beside a file. It is the kernel's own lock (through SQLite's, on a database of
 * its own), so it goes with the process that holds it, kill -9 and power cuts included: there is nothing stale
 * to be fooled by. The journal itself stays readable for `dc-agent status` and `why`.
 */
import { AppError } from '@dc/shared/errors';
import Database from 'better-sqlite3';

/** A lock that is held. */
export interface FileLock {
  /** Lets go. Idempotent. The lock file stays: removing it would let two processes lock two files of one name. */
  readonly release: () => void;
}

/** Takes the lock `<path>.lock`. Throws DATABASE_LOCKED, naming the holder's process id, where it is held. */
export function lockFile(path: string): FileLock {
  // No waiting: whoever holds it is a daemon that will not let go soon.
  const db = new Database(`${path}.lock`, { timeout: 0 });
  try {
    db.pragma('synchronous = OFF'); // Who held it does not matter after a power cut.
    db.exec('CREATE TABLE IF NOT EXISTS holder (pid INTEGER NOT NULL)');
    db.transaction(() => {
      db.exec('DELETE FROM holder');
      db.prepare('INSERT INTO holder VALUES (?)').run(process.pid);
    }).immediate();
    // A write transaction that is never committed holds the lock and lets others read who does.
    db.exec('BEGIN IMMEDIATE');
  } catch (error) {
    const held = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
    const refusal = held ? locked(path, readHolder(db), error) : error;
    db.close();
    throw refusal;
  }
  return { release: () => void db.close() };
}

function locked(path: string, pid: number | null, cause: unknown): AppError {
  const holder = pid === null ? 'Another process' : `Process ${String(pid)}`;
  return new AppError('DATABASE_LOCKED', `${holder} holds the journal ${path}.`, { cause });
}

/** Null where the holder has not written its name yet. */
function readHolder(db: Database.Database): number | null {
  try {
    return (db.prepare('SELECT pid FROM holder').pluck().get() as number | undefined) ?? null;
  } catch {
    return null; // Only the name is missing from the message: that the lock is held is already known.
  }
}
