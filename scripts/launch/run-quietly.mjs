// @ts-check
/**
 * Runs npm, and a brought Node for its first test, without showing their output unless it is needed. Plain JavaScript
 * without dependencies, for Node 18 and later.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { LaunchError } from './launch-error.mjs';

/**
 * @typedef {import('./lock.mjs').Lock} Lock
 * @typedef {{ node: string, npm: string | null }} Runtime The Node to run with, and its npm (null: the machine's).
 */

/**
 * Runs npm with the given Node, which is also first on the PATH, and keeps quiet: the output is in the result.
 * @param {Runtime} runtime
 * @param {string[]} args
 * @param {string} cwd
 * @param {Lock} lock
 */
export function runNpm(runtime, args, cwd, lock) {
  const npm = runtime.npm || findNpm();
  return run(runtime.node, [npm, ...args, '--loglevel=error'], cwd, environmentFor(runtime), lock);
}

/**
 * What npm said went wrong, without the page on its usage that it may add.
 * @param {string} output
 */
export function npmProblem(output) {
  const [problem = ''] = output.split(/\n(?:npm error )?(?:Clean install a project|Usage:)\n/);
  return problem.replace(/\n(npm error\s*)+$/, '').trim();
}

/** The machine's npm, as the JavaScript file that Node runs. */
function findNpm() {
  const beside = path.dirname(process.execPath);
  const onPath = (process.env.PATH || '').split(path.delimiter).map((folder) => path.join(folder, 'npm'));
  const candidates = [
    process.env.npm_execpath || '', // Set by `npm run`: the very npm that started us.
    path.join(beside, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    path.join(beside, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    ...onPath,
  ];
  for (const candidate of candidates) {
    if (!candidate || !fs.existsSync(candidate)) continue;
    const file = fs.realpathSync(candidate);
    if (path.basename(file) === 'npm-cli.js') return file;
  }
  throw new LaunchError('npm was not found.', 'Install npm (it comes with Node), then try again.');
}

/**
 * The environment of what we start: the chosen Node first, so that every `#!/usr/bin/env node` finds it, and its npm.
 * @param {Runtime} runtime
 * @returns {NodeJS.ProcessEnv}
 */
export function environmentFor({ node, npm }) {
  /** @type {NodeJS.ProcessEnv} */
  const environment = {
    ...process.env,
    PATH: [path.dirname(node), process.env.PATH || ''].join(path.delimiter),
  };
  if (npm) environment.npm_execpath = npm;
  // Node 22 warns about type stripping at each start of each process; 24 does not.
  if (process.versions.node.startsWith('22.')) {
    environment.NODE_OPTIONS =
      `${process.env.NODE_OPTIONS || ''} --disable-warning=ExperimentalWarning`.trim();
  }
  return environment;
}

/**
 * Runs a program to its end and collects its output. A signal to the launcher ends the program first.
 * @param {string} file
 * @param {string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @param {Lock} lock Gets the program's pid: the lock is held as long as either process lives.
 * @returns {Promise<{ code: number, output: string }>}
 */
export function run(file, args, cwd, env, lock) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid) lock.addPid(child.pid);
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    /** @type {NodeJS.Signals | null} */
    let interruptedBy = null;
    /** @param {NodeJS.Signals} signal */
    const interrupt = (signal) => {
      interruptedBy = signal;
      child.kill('SIGTERM');
    };
    process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
    /** @param {number} code */
    const end = (code) => {
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
      if (interruptedBy) process.exit(128 + os.constants.signals[interruptedBy]);
      resolve({ code, output });
    };
    child.on('error', (error) => {
      output += error.message;
      end(1);
    });
    child.on('close', (code) => end(code === null ? 1 : code));
  });
}
