/** Where a simulation keeps its databases and disks. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In memory where the system has such a folder: a flush to the disk proves nothing here, and takes long. */
const PARENT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A new folder, and the function that removes it. Where the process ends before, it goes with it. */
export function makeFolder(): { readonly folder: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(PARENT, 'dc-simulation-'));
  const onExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', onExit);
  const remove = (): void => {
    process.off('exit', onExit);
    onExit();
  };
  return { folder, remove };
}
