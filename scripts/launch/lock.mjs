// @ts-check
/**
 * A lock between launches of this repository that run at the same time: a folder under `.runtime`, with the processes
 * that hold it written inside. Plain JavaScript without dependencies, for Node 18 and later.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { say } from './launch-error.mjs';

const HEARTBEAT_MS = 5_000; // How often the holder of a lock shows that it lives.
const LOCK_STALE_MS = 60_000; // Twelve missed beats: the holder is gone, or on a machine that we can not ask.
const LOCK_POLL_MS = 200;

/** @typedef {{ addPid: (pid: number) => void }} Lock What the holder may do: name a further process that holds it. */

/**
 * Runs `work` while holding a lock that two launches can not both have. A lock whose processes are all dead, or
 * which has shown no life for a minute, is taken over.
 * @param {string} root
 * @param {string} name
 * @param {(lock: Lock) => Promise<void>} work
 */
export async function withLock(root, name, work) {
  const folder = path.join(root, '.runtime', `${name}.lock`);
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const pids = [process.pid];
  const owner = () => JSON.stringify({ host: os.hostname(), pids });
  for (let hasSaidSo = false; !tryLock(folder, owner()); hasSaidSo = true) {
    if (!hasSaidSo) say('Another launch is installing; waiting for it …');
    removeIfStale(folder);
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
  const removeNow = () => fs.rmSync(folder, { recursive: true, force: true });
  process.on('exit', removeNow);
  const heartbeat = setInterval(() => {
    // Without a folder the lock was taken over while this machine slept: what is under way is better ended than cut.
    if (fs.existsSync(folder)) fs.utimesSync(folder, new Date(), new Date());
  }, HEARTBEAT_MS);
  try {
    await work({
      addPid(pid) {
        pids.push(pid);
        fs.writeFileSync(path.join(folder, 'owner.json'), owner());
      },
    });
  } finally {
    clearInterval(heartbeat);
    process.off('exit', removeNow);
    removeNow();
  }
}

/**
 * A rename makes the lock appear together with its owner, and fails when there is one already.
 * @param {string} folder
 * @param {string} owner
 */
function tryLock(folder, owner) {
  const prepared = `${folder}.${process.pid}.${randomBytes(4).toString('hex')}`;
  fs.mkdirSync(prepared);
  fs.writeFileSync(path.join(prepared, 'owner.json'), owner);
  try {
    fs.renameSync(prepared, folder);
    return true;
  } catch (error) {
    fs.rmSync(prepared, { recursive: true, force: true });
    const code = /** @type {NodeJS.ErrnoException} */ (error).code || '';
    if (['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(code)) return false;
    throw error;
  }
}

/**
 * Removes a lock that nobody holds any more. A second lock guards the removal: of two waiters that both see the
 * stale lock, the slower one must not remove the new lock of the faster one.
 * @param {string} folder
 */
function removeIfStale(folder) {
  if (!isStale(folder)) return;
  const guard = `${folder}.breaking`;
  try {
    fs.mkdirSync(guard);
  } catch {
    // Somebody else is removing it. A guard that stays was left by a crash within the few lines below.
    if (ageMs(guard) > LOCK_STALE_MS) fs.rmSync(guard, { recursive: true, force: true });
    return;
  }
  try {
    if (isStale(folder)) fs.rmSync(folder, { recursive: true, force: true });
  } finally {
    fs.rmSync(guard, { recursive: true, force: true });
  }
}

/** @param {string} folder */
function isStale(folder) {
  if (ageMs(folder) > LOCK_STALE_MS) return true;
  try {
    const owner = JSON.parse(fs.readFileSync(path.join(folder, 'owner.json'), 'utf8'));
    return owner.host === os.hostname() && !owner.pids.some(isAlive);
  } catch {
    return false; // Gone, or being written: the next look decides.
  }
}

/** @param {string} file */
function ageMs(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat ? Date.now() - stat.mtimeMs : 0;
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
