// @ts-check
/**
 * Keeps node_modules in step with the lock file. Plain JavaScript without dependencies, for Node 18 and later.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { LaunchError, say } from './launch-error.mjs';
import { withLock } from './lock.mjs';
import { npmProblem, runNpm } from './run-quietly.mjs';

/** @typedef {import('./run-quietly.mjs').Runtime} Runtime */

/**
 * Runs `npm ci` unless node_modules is what this lock file made on this kind of machine.
 * @param {string} root
 * @param {Runtime} runtime
 */
export async function ensurePackages(root, runtime) {
  const stamp = path.join(root, 'node_modules', '.installed-from');
  const isInstalled = () => readIfThere(stamp) === lockFileHash(root);
  if (isInstalled()) return;
  await withLock(root, 'install', async (lock) => {
    if (isInstalled()) return; // Another launch did it while this one waited.
    say('Installing packages (once for each change of package-lock.json) …');
    const startedAt = Date.now();
    const hash = lockFileHash(root);
    // The stamp goes first: an interrupted npm ci must not look complete.
    fs.rmSync(stamp, { force: true });
    // --include=dev: NODE_ENV=production in the caller's shell must not leave half of it out.
    const npm = await runNpm(runtime, ['ci', '--include=dev', '--no-audit', '--no-fund'], root, lock);
    if (npm.code !== 0) {
      throw new LaunchError(
        `npm ci failed:\n${npmProblem(npm.output)}`,
        'Check the network and the npm registry setting; after a change of package.json run npm install.',
      );
    }
    fs.mkdirSync(path.dirname(stamp), { recursive: true });
    fs.writeFileSync(stamp, hash);
    say(`Installed in ${((Date.now() - startedAt) / 1000).toFixed(0)} s.`);
  });
}

/**
 * What node_modules depends on: the lock file's bytes, and the machine for which native packages were chosen.
 * @param {string} root
 */
function lockFileHash(root) {
  const hash = createHash('sha256').update(fs.readFileSync(path.join(root, 'package-lock.json')));
  return hash.update(`${process.platform}-${process.arch}`).digest('hex');
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return null; // Missing, which is an answer.
  }
}
