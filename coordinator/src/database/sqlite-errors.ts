/** What SQLite's errors mean to us. Constraint violations stay as they are: they belong to the store that caused them. */
import { SqliteError } from 'better-sqlite3';
import { AppError } from '@dc/shared/errors';

/** True where another process holds the lock; the same statement may work in a moment. */
export function isBusy(error: unknown): boolean {
  return hasCode(error, 'SQLITE_BUSY');
}

/** True for every constraint, also one that a trigger enforces. */
export function isConstraintViolation(error: unknown): boolean {
  return hasCode(error, 'SQLITE_CONSTRAINT');
}

/** The error for a caller: what the machine cannot do now becomes an AppError, everything else stays as it is. */
export function toCallerError(error: unknown): unknown {
  if (isBusy(error)) {
    return new AppError('SERVICE_UNAVAILABLE', 'Another process holds the database.', {
      retryAfterMs: 1000,
      cause: error,
    });
  }
  if (hasCode(error, 'SQLITE_FULL')) return new AppError('DATABASE_FULL', undefined, { cause: error });
  if (hasCode(error, 'SQLITE_IOERR')) {
    return new AppError('SERVICE_UNAVAILABLE', 'The disk does not work.', { cause: error });
  }
  return error;
}

/** SQLite's extended codes start with the plain one. */
function hasCode(error: unknown, code: string): boolean {
  return error instanceof SqliteError && (error.code === code || error.code.startsWith(`${code}_`));
}
