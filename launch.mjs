#!/usr/bin/env node
// @ts-check
/**
 * Starts everything in this repository (`npm start`, `npm test`, `npm run …`) on a machine that has only npm and any
 * Node from 18 on: finds or brings a fitting Node, installs the packages when the lock file changed, then runs the
 * target and ends with its exit code. No dependencies, and no syntax newer than Node 18.
 */
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { LaunchError } from './scripts/launch/launch-error.mjs';
import { findRuntime } from './scripts/launch/node-runtime.mjs';
import { ensurePackages } from './scripts/launch/packages.mjs';
import { environmentFor } from './scripts/launch/run-quietly.mjs';

/**
 * What `node launch.mjs NAME` runs: a program and the arguments that come before the caller's own. `node` is the
 * Node that was found; `exec` runs any program of node_modules/.bin or the PATH.
 * @type {Record<string, string[]>}
 */
const TARGETS = {
  start: ['node', 'e2e/start.ts'],
  rent: ['node', 'e2e/rent.ts'],
  test: ['node', 'scripts/test.ts'],
  check: ['node', 'scripts/test.ts', '--lane', 'check'],
  bench: ['node', 'e2e/bench/main.ts'],
  simulate: ['node', 'e2e/simulation/main.ts'],
  docs: ['node', 'scripts/generate-docs.ts'],
  build: ['node', 'installer/build-release.ts'],
  agent: ['node', 'agent/src/main.ts'],
  coordinator: ['node', 'coordinator/src/main.ts'],
  'pve-sim': ['node', 'agent/src/pve-sim/main.ts'],
  exec: [],
};

const PARENT_CHECK_MS = 1_000;
const PARENT = process.ppid;

/**
 * Runs the target in the foreground and resolves to the exit code to end with.
 * @param {string} root
 * @param {import('./scripts/launch/run-quietly.mjs').Runtime} runtime
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<number>}
 */
function runTarget(root, runtime, program, args) {
  return new Promise((resolve) => {
    const env = environmentFor(runtime);
    env.PATH = [path.join(root, 'node_modules', '.bin'), env.PATH].join(path.delimiter);
    env.DC_LAUNCHER_PID = String(process.pid); // So that the target can notice when this process is killed.
    const child = spawn(program === 'node' ? runtime.node : program, args, {
      cwd: root,
      env,
      stdio: 'inherit',
    });
    // In a terminal Ctrl-C reaches the whole process group: the child has it already, and drains.
    const hasTerminal = Boolean(process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY);
    // npm repeats what the whole process group has had: each signal is handed on once.
    /** @type {Set<string>} */
    const handedOn = new Set();
    /** @param {NodeJS.Signals} signal */
    const forward = (signal) => {
      if (signal === 'SIGINT' && hasTerminal) return;
      if (!handedOn.has(signal)) child.kill(signal);
      handedOn.add(signal);
    };
    process.on('SIGINT', forward).on('SIGTERM', forward).on('SIGHUP', forward);
    // npm's shell does not hand on the signal that ends npm and itself: its end is the only sign. Without npm nobody
    // is watched: the shell of nohup or setsid may end and leave us running.
    if (process.env.npm_lifecycle_event) {
      setInterval(() => {
        if (process.ppid !== PARENT) forward('SIGTERM');
      }, PARENT_CHECK_MS).unref();
    }
    child.on('error', (error) => {
      console.error(`${program} could not be started: ${error.message}`);
      resolve(127);
    });
    child.on('exit', (code, signal) => resolve(signal ? 128 + os.constants.signals[signal] : code || 0));
  });
}

/** @param {string[]} argv */
async function main([name = '', ...args]) {
  const target = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (!target || (name === 'exec' && args.length === 0)) {
    throw new LaunchError(
      name === 'exec' ? 'exec needs a program.' : `There is no target named "${name}".`,
      `Usage: node launch.mjs TARGET [arguments]; the targets are ${Object.keys(TARGETS).join(', ')}.`,
    );
  }
  const root = path.dirname(fileURLToPath(import.meta.url));
  const runtime = await findRuntime(root);
  await ensurePackages(root, runtime);
  const [program = '', ...rest] = [...target, ...args];
  return runTarget(root, runtime, program, rest);
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof LaunchError ? `${error.message}\n→ ${error.remedy}` : error);
    process.exit(1);
  },
);
