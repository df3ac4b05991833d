/** Turns SQLite's errors into ours. */
import { AppError } from '@dc/shared/errors';
import Database from 'better-sqlite3';

/** The AppError for an error of SQLite; anything else, and what only a bug can cause, is returned as it is. */
export function translateError(error: unknown, path: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const code = error.code;
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new AppError('JOURNAL_CORRUPT', `The journal ${path} cannot be trusted: it is damaged.`, {
      cause: error,
    });
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new AppError('DATABASE_LOCKED', `Another process holds the journal ${path}.`, { cause: error });
  }
  if (code === 'SQLITE_FULL') {
    return new AppError('DATABASE_FULL', `The journal ${path} cannot be written: the disk is full.`, {
      cause: error,
    });
  }
  if (/^SQLITE_(IOERR|READONLY|CANTOPEN|PERM)/.test(code)) {
    return new AppError('DATABASE_UNUSABLE', `The journal ${path} cannot be used (${code}).`, {
      cause: error,
    });
  }
  return error;
}
