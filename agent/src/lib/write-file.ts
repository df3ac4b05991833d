/** Writes a file so that a crash leaves the old one or the new one, whole. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** Replaces `path` with `text`, readable by its owner only unless `mode` says otherwise. Durable when it returns. */
export function writeFileAtomically(path: string, text: string, mode = 0o600): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true }); // Of a run that was interrupted.
  const file = openSync(draft, 'wx', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const directory = openSync(dirname(path), 'r');
  fsyncSync(directory);
  closeSync(directory);
}
