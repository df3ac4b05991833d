/**
 * `npm run simulate -- [--seeds N] [--seed S] [--trace] [--small] [--contracts N] [--bug NAME]`: runs seeds on all cores
 * and prints what was tried and what came of it. The first seed that breaks an invariant is printed with its trace.
 */
import { parseArgs } from 'node:util';
import { runSeed, runSeeds, type SeedSummary } from './run-seeds.ts';
import type { SimulationOptions } from './simulation.ts';
import { PLANTED_BUGS } from './world.ts';

const USAGE = `Usage: npm run simulate -- [--seeds N] [--seed S] [--trace] [--small] [--contracts N] [--bug NAME]

  --seeds N      how many seeds to run: 1 with --seed, else 300
  --seed S       the first one: 1
  --trace        print everything that happened
  --small        shorter runs with fewer contracts, as in npm test
  --contracts N  how many contracts are wanted of each seed; more of them share the time in which nothing happens
  --bug NAME     plant a mistake in the agents, to see it found: ${PLANTED_BUGS.join(', ')}
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      small: { type: 'boolean', default: false },
      contracts: { type: 'string' },
      bug: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const first = Number(values.seed ?? 1);
  const count = Number(values.seeds ?? (values.seed === undefined ? 300 : 1));
  const contracts = values.contracts === undefined ? undefined : Number(values.contracts);
  const bug = PLANTED_BUGS.find((name) => name === values.bug);
  const isUnknownBug = values.bug !== undefined && bug === undefined;
  if (
    values.help ||
    isUnknownBug ||
    !Number.isSafeInteger(first) ||
    !isCount(count) ||
    (contracts !== undefined && !isCount(contracts))
  ) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const options = {
    isSmall: values.small,
    ...(contracts === undefined ? {} : { contracts }),
    ...(bug === undefined ? {} : { bug }),
  };
  const startedAt = performance.now();
  const results =
    count === 1
      ? [await runOne({ ...options, seed: first }, values.trace)]
      : await runSeeds({ ...options, first, count, onResult: showProgress(count) });
  process.stdout.write(`${describeRun(results, performance.now() - startedAt).join('\n')}\n`);
  const [broken] = results.filter(({ violation }) => violation !== null).sort((a, b) => a.seed - b.seed);
  if (broken === undefined) return 0;
  if (count > 1) await runOne({ ...options, seed: broken.seed }, true);
  const again = [
    `--seed ${String(broken.seed)}`,
    '--trace',
    values.small ? '--small' : '',
    contracts === undefined ? '' : `--contracts ${String(contracts)}`,
    bug ? `--bug ${bug}` : '',
  ];
  process.stdout.write(`\nAgain: npm run simulate -- ${again.filter((part) => part !== '').join(' ')}\n`);
  return 1;
}

const isCount = (number: number): boolean => Number.isSafeInteger(number) && number > 0;

async function runOne(options: SimulationOptions, isTraced: boolean): Promise<SeedSummary> {
  const { summary, trace } = await runSeed(options);
  if (isTraced) process.stdout.write(`${trace.join('\n')}\n`);
  process.stdout.write(
    `seed ${String(options.seed)}: ${summary.violation ?? 'sound'}, trace ${summary.traceHash}\n`,
  );
  return summary;
}

function showProgress(count: number): () => boolean {
  let done = 0;
  return () => {
    done += 1;
    if (process.stderr.isTTY) process.stderr.write(`\r${String(done)} of ${String(count)} seeds `);
    return false;
  };
}

function describeRun(results: readonly SeedSummary[], tookMs: number): string[] {
  const sum = (of: (one: SeedSummary) => number): number =>
    results.reduce((total, one) => total + of(one), 0);
  const lives = sum((one) => one.lives);
  const faults = new Map<string, number>();
  for (const one of results) {
    for (const [kind, times] of Object.entries(one.faults)) faults.set(kind, (faults.get(kind) ?? 0) + times);
  }
  const broken = results.filter(({ violation }) => violation !== null);
  return [
    `seeds           ${String(results.length)}`,
    `contract lives  ${String(lives)}, ${(lives / (tookMs / 1000)).toFixed(0)} a second`,
    `processor time  ${(sum((one) => one.cpuMs) / lives).toFixed(1)} ms for a life, of all threads`,
    `steps           ${String(sum((one) => one.steps))}, the invariants held against each`,
    `virtual time    ${(sum((one) => one.virtualMs) / 3_600_000).toFixed(1)} h in ${(tookMs / 1000).toFixed(1)} s`,
    `given up        ${String(sum((one) => one.givenUp))} agents whose chain is forked for good`,
    `violations      ${String(broken.length)}`,
    'faults',
    ...[...faults]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, n]) => `  ${kind.padEnd(26)} ${String(n)}`),
    ...broken.slice(0, 20).map(({ seed, violation }) => `seed ${String(seed)}: ${violation ?? ''}`),
  ];
}

process.exitCode = await main();
