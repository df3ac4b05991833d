/** Replaces a small file so that a crash leaves either the old one or the new one, on the disk. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { AppError } from '@dc/shared/errors';

/** Writes `text` as `file`, readable by its owner only. Throws KEY_FILE_INVALID where that is not possible. */
export function writeWhole(file: string, text: string): void {
  const draft = `${file}.draft`;
  try {
    const descriptor = openSync(draft, 'w', 0o600);
    try {
      writeSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, file);
    const folder = openSync(dirname(file), 'r');
    fsyncSync(folder);
    closeSync(folder);
  } catch (error) {
    rmSync(draft, { force: true });
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('KEY_FILE_INVALID', `The file ${file} cannot be written (${code}).`, {
      remedy: 'Make its folder writable for the user that runs the coordinator, and free space on its disk.',
      cause: error,
    });
  }
}
