/**
 * `npm test`: runs the lanes one after another, after installing what they need where it may, and ends with one line
 * that says how many tests passed and failed. Options: `--lane NAME` (may be repeated); everything else goes to vitest,
 * file names first of all, and then only the vitest lanes run.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArguments } from './arguments.ts';
import { addCounts, countVitestRun, NO_COUNTS, renderCounts, type Counts } from './counts.ts';
import { installDebianPackages, whyNoPackages } from './debian-packages.ts';
import { LANES, missingNeeds, type Check, type Lane } from './lanes.ts';

const ROOT = path.dirname(import.meta.dirname);
const SYSTEM_PATH = process.env.PATH ?? '';
/** Where the programs that we run are looked up: ours first, and this very Node for what they start in turn. */
const SEARCH_PATH = [
  path.join(ROOT, 'node_modules', '.bin'),
  path.dirname(process.execPath),
  SYSTEM_PATH,
].join(path.delimiter);

/** A lane that takes longer than this hangs; the whole of `npm test` has 15 minutes on two cores. */
const LANE_TIMEOUT_MS = 10 * 60_000;

interface LaneResult {
  readonly name: string;
  readonly counts: Counts;
  /** Why it did not run; null when it ran. */
  readonly skippedBecause: string | null;
  readonly durationMs: number;
}

const running = new Set<ChildProcess>();
const reports = mkdtempSync(path.join(os.tmpdir(), 'dc-test-'));
process.on('exit', () => rmSync(reports, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill('SIGTERM');
    process.exit(128 + os.constants.signals[signal]);
  });
}

const { laneNames, vitestArguments } = parseArguments(process.argv.slice(2), LANES);
const lanes = LANES.filter(({ name }) => laneNames.includes(name));
const results: LaneResult[] = [];
for (const lane of lanes) results.push(await runLane(lane));

console.log('');
for (const result of results) console.log(describeResult(result));
const total = results.map(({ counts }) => counts).reduce(addCounts, NO_COUNTS);
console.log(`\n${renderCounts(total)}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

async function runLane(lane: Lane): Promise<LaneResult> {
  const startedAt = performance.now();
  const durationMs = (): number => performance.now() - startedAt;
  console.log(`\n━━ ${lane.name} ━━`);
  const reason = provideNeeds(lane);
  if (reason !== null) {
    console.log(`Skipped: ${reason}.`);
    // Where nobody reads the output, a lane that did not run must not look like one that passed.
    const counts = process.env.CI === 'true' ? { ...NO_COUNTS, failed: 1 } : NO_COUNTS;
    return { name: lane.name, counts, skippedBecause: reason, durationMs: durationMs() };
  }
  const counts = 'project' in lane ? await runVitest(lane.project) : await runChecks(lane.checks);
  return { name: lane.name, counts, skippedBecause: null, durationMs: durationMs() };
}

/** Installs what the lane misses. Returns why the lane can not run, or null. */
function provideNeeds({ needs }: Lane): string | null {
  const missing = missingNeeds(needs, SYSTEM_PATH);
  if (missing.length === 0) return null;
  const programs = missing.map(({ program }) => program).join(' and ');
  const whyNot = whyNoPackages(SYSTEM_PATH);
  if (whyNot !== null) return `${programs} not found, and ${whyNot}`;
  const problem = installDebianPackages(missing.map(({ debianPackage }) => debianPackage));
  return problem === null ? null : `${programs} not found, and apt-get failed: ${problem}`;
}

/** Each command counts as one test. They run side by side; their output is shown only when they fail. */
async function runChecks(checks: readonly Check[]): Promise<Counts> {
  const counts = await Promise.all(
    checks.map(async ({ name, command }) => {
      const startedAt = performance.now();
      const { exitCode, output } = await run(command, 'collect');
      const hasPassed = exitCode === 0;
      console.log(`${hasPassed ? '✓' : '✗'} ${name} ${seconds(performance.now() - startedAt)}`);
      if (!hasPassed) console.log(output);
      return { passed: hasPassed ? 1 : 0, failed: hasPassed ? 0 : 1, skipped: 0 };
    }),
  );
  return counts.reduce(addCounts, NO_COUNTS);
}

async function runVitest(project: string): Promise<Counts> {
  const report = path.join(reports, `${project}.json`);
  const told = `--reporter=${path.join(ROOT, 'scripts', 'told-lines-reporter.ts')}`;
  const reporters = ['--reporter=default', told, '--reporter=json', `--outputFile.json=${report}`];
  // A forgotten `.only` fails. With file names, a lane may well have none of them.
  const always = [
    ...reporters,
    '--allowOnly=false',
    ...(vitestArguments.length > 0 ? ['--passWithNoTests'] : []),
  ];
  const command = ['vitest', 'run', '--project', project, ...always, ...vitestArguments] as const;
  const { exitCode } = await run(command, 'show');
  return countVitestRun(readReport(report), exitCode);
}

function readReport(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null; // A run that crashed writes none; its exit code then says that it failed.
  }
}

interface RunResult {
  /** Null when a signal ended it, ours after the time limit included. */
  readonly exitCode: number | null;
  readonly output: string;
}

/** Runs a program of node_modules/.bin in the foreground, with its output shown or collected. */
function run(
  [file, ...args]: readonly [string, ...string[]],
  output: 'show' | 'collect',
): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: ROOT,
      env: { ...process.env, PATH: SEARCH_PATH, ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}) },
      stdio: output === 'show' ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      timeout: LANE_TIMEOUT_MS,
    });
    running.add(child);
    let collected = '';
    const collect = (chunk: Buffer): void => void (collected += chunk.toString());
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', (error) => resolve({ exitCode: 127, output: `${file}: ${error.message}` }));
    child.on('close', (exitCode) => {
      running.delete(child);
      resolve({ exitCode, output: collected.trim() });
    });
  });
}

function describeResult({ name, counts, skippedBecause, durationMs }: LaneResult): string {
  if (skippedBecause !== null) return `− ${name.padEnd(8)} skipped: ${skippedBecause}`;
  const mark = counts.failed > 0 ? '✗' : '✓';
  return `${mark} ${name.padEnd(8)} ${seconds(durationMs).padStart(8)}  ${renderCounts(counts)}`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
