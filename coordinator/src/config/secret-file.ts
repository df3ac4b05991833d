/**
 * Secrets that other companies gave us (API keys, webhook secrets): one a line in a file that only its owner can read.
 * They are read when the coordinator starts, and never printed or logged.
 */
import { closeSync, fstatSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';

const OPEN_TO_OTHERS = 0o077;

/**
 * The secrets in `file`, one or more; empty lines and lines that begin with # do not count. Throws KEY_FILE_INVALID and
 * KEY_FILE_UNSAFE, with nothing of what is in the file. `what` names them for people.
 */
export function readSecretFile(file: string, what: string): [string, ...string[]] {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    const why = code === 'ENOENT' ? 'is missing' : `cannot be opened (${code})`;
    throw new AppError('KEY_FILE_INVALID', `The file ${file} of ${what} ${why}.`, {
      remedy: `Write ${what} into ${file}, readable by its owner alone (chmod 600).`,
      cause: error,
    });
  }
  try {
    const { mode } = fstatSync(descriptor);
    if (!fstatSync(descriptor).isFile()) throw new AppError('KEY_FILE_INVALID', `${file} is not a file.`);
    if ((mode & OPEN_TO_OTHERS) !== 0)
      throw new AppError('KEY_FILE_UNSAFE', `The file ${file} of ${what} is open to other users.`, {
        remedy: `Run: chmod 600 '${file}'. If others may have read it, make a new one at its issuer.`,
      });
    const lines = readFileSync(descriptor, 'utf8').split('\n');
    const [first, ...rest] = lines
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    if (first === undefined || [first, ...rest].some((line) => /\s/.test(line)))
      throw new AppError('KEY_FILE_INVALID', `The file ${file} does not hold ${what}, one a line.`);
    return [first, ...rest];
  } finally {
    closeSync(descriptor);
  }
}

/** Puts `secret` in front of those that `file` has, which may be none, and keeps one of the old ones. Atomic. */
export function addSecret(file: string, secret: string, old: readonly string[]): void {
  const draft = `${file}.new`;
  writeFileSync(draft, `${[secret, ...old.slice(0, 1)].join('\n')}\n`, { mode: 0o600 });
  renameSync(draft, file);
}
