/**
 * Whose a data folder of `npm start` is, and which `npm start` runs on it. A folder that is not ours is refused before
 * anything in it is touched, and so is one that somebody else is using.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** The checkout's own, which git leaves out; npm run bench works there too. */
export const DEFAULT_DATA_DIR = join(import.meta.dirname, '..', '.data');
/** Where `npm start -- --proxmox` keeps its data: the two can run side by side. */
export const PROXMOX_DATA_DIR = join(DEFAULT_DATA_DIR, 'proxmox-demo');

/** Makes a folder ours: `--fresh` deletes only where this is. */
const MARKER = '.dc-demo';
const LOCK = 'supervisor.json';
/** Other things of the checkout's own folder: another demonstration, and images of machines, which take minutes. */
const NEIGHBOURS = ['proxmox-demo', 'pve-sim'];
/** The first words of each coordinator.toml that npm start writes. */
export const TOML_HEAD = '# Written by npm start';

/** Nothing was touched. The message says what to do. */
export class RefusedError extends Error {}

/** The process that runs the two programs of a data folder. */
interface Supervisor {
  pid: number;
  /** When it was started, as the kernel counts: a pid alone may be somebody else's by now. Null outside Linux. */
  startTime: string | null;
  url: string;
}

/**
 * Makes the folder, or takes it when it is ours, until the returned function is called. Throws RefusedError when the
 * folder has things of others in it, or when another `npm start` that still lives runs on it.
 */
export function claimDataFolder(dataDir: string, url: string): () => void {
  if (!isOurs(dataDir)) {
    throw new RefusedError(
      `${dataDir} has things in it that npm start did not make. Nothing was touched. ` +
        'Choose a folder that is empty or new with --data-dir.',
    );
  }
  const lock = join(dataDir, LOCK);
  const holder = readSupervisor(lock);
  if (holder !== null && isRunning(holder)) throw alreadyRuns(holder);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  writeFileSync(
    join(dataDir, MARKER),
    'npm start keeps its data in this folder; --fresh deletes all of it.\n',
  );
  if (existsSync(lock)) removeStale(lock);
  takeLock(lock, { pid: process.pid, startTime: startTimeOf(process.pid), url });
  return () => {
    rmSync(lock, { force: true });
  };
}

/** Deletes what is in a claimed folder. */
export function emptyDataFolder(dataDir: string): void {
  for (const name of readdirSync(dataDir)) {
    if (![MARKER, LOCK, ...NEIGHBOURS].includes(name))
      rmSync(join(dataDir, name), { recursive: true, force: true });
  }
}

/** Missing, empty, the checkout's own, marked, or made by an npm start from before there were marks. */
function isOurs(dataDir: string): boolean {
  const stat = statSync(dataDir, { throwIfNoEntry: false });
  if (stat === undefined) return true;
  if (!stat.isDirectory()) return false;
  if (dataDir === DEFAULT_DATA_DIR || existsSync(join(dataDir, MARKER)) || readdirSync(dataDir).length === 0)
    return true;
  const toml = join(dataDir, 'coordinator.toml');
  return (
    existsSync(join(dataDir, 'provider.key')) &&
    existsSync(toml) &&
    readFileSync(toml, 'utf8').startsWith(TOML_HEAD)
  );
}

/** A link appears whole, and only where there is none: of two that start at once, one gets it. */
function takeLock(lock: string, supervisor: Supervisor): void {
  const draft = `${lock}.${String(process.pid)}`;
  writeFileSync(draft, JSON.stringify(supervisor));
  try {
    linkSync(draft, lock);
  } catch (error) {
    const holder = readSupervisor(lock);
    if (holder === null) throw error;
    throw alreadyRuns(holder);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Of two that find the same stale lock, the slower one must not remove the new lock of the faster one. */
function removeStale(lock: string): void {
  const aside = `${lock}.stale-${String(process.pid)}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // The other one was faster.
    throw error;
  }
  const holder = readSupervisor(aside);
  if (holder !== null && isRunning(holder)) {
    renameSync(aside, lock);
    throw alreadyRuns(holder);
  }
  rmSync(aside);
}

function alreadyRuns({ pid, url }: Supervisor): RefusedError {
  return new RefusedError(
    `npm start already runs on this data (pid ${String(pid)}, ${url}). ` +
      'Stop it first, or choose another --data-dir.',
  );
}

/** Null when there is none, or none that can be read: both belong to nobody. */
function readSupervisor(file: string): Supervisor | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Supervisor;
  } catch {
    return null;
  }
}

function isRunning({ pid, startTime }: Supervisor): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startTime === null || startTimeOf(pid) === startTime;
}

/** The kernel's start time of a process that has not ended; null where there is no /proc. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null; // Gone, or not Linux.
  }
}
