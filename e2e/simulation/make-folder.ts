/** Where a simulation keeps its databases and disks. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In memory where the system has such a folder: a flush to the disk proves nothing here, and takes long. */
const PARENT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A new folder; whoever asks for it removes it. */
export const makeFolder = (): string => mkdtempSync(join(PARENT, 'dc-simulation-'));
