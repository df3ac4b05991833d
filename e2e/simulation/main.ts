/**
 * `npm run simulate -- [--seeds N] [--seed S] [--trace] [--bug NAME]`: runs seeds on all cores and prints what was
 * tried and what came out. The first seed that breaks an invariant is printed with its trace; it replays exactly.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { simulate, type SimulationResult } from './simulation.ts';
import { PLANTED_BUGS, type PlantedBug } from './world.ts';

const USAGE = `Usage: npm run simulate -- [--seeds N] [--seed S] [--trace] [--bug ${PLANTED_BUGS.join('|')}]

  --seeds N   how many seeds to run (1 with --seed, else 300)
  --seed S    the first seed (1)
  --trace     print everything that happened
  --bug NAME  plant a mistake, to see it found
`;

/** What a seed says to the process that adds up. */
type Summary = Omit<SimulationResult, 'trace'>;

interface Order {
  readonly first: number;
  readonly count: number;
  readonly step: number;
  readonly bug: PlantedBug | undefined;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      bug: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const first = Number(values.seed ?? 1);
  const count = Number(values.seeds ?? (values.seed === undefined ? 300 : 1));
  const bug = PLANTED_BUGS.find((name) => name === values.bug);
  const isWrong =
    !Number.isSafeInteger(first) || !(count >= 1) || (values.bug !== undefined && bug === undefined);
  if (values.help || isWrong) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const startedAt = performance.now();
  const results = count === 1 ? [await runOne(first, bug, values.trace)] : await runMany(first, count, bug);
  print(results, performance.now() - startedAt);
  const [broken] = results.filter(({ violation }) => violation !== null).sort((a, b) => a.seed - b.seed);
  if (broken === undefined) return 0;
  if (count > 1) await runOne(broken.seed, bug, true);
  const again = bug === undefined ? '' : ` --bug ${bug}`;
  process.stdout.write(`\nAgain: npm run simulate -- --seed ${String(broken.seed)} --trace${again}\n`);
  return 1;
}

async function runOne(seed: number, bug: PlantedBug | undefined, isTraced: boolean): Promise<Summary> {
  const { trace, ...summary } = await simulate({ seed, ...(bug === undefined ? {} : { bug }) });
  if (isTraced) process.stdout.write(`${trace.join('\n')}\n`);
  process.stdout.write(`seed ${String(seed)}: ${summary.violation ?? 'sound'}\n`);
  return summary;
}

/** Every worker takes each n-th seed, so that slow ones are spread. */
async function runMany(first: number, count: number, bug: PlantedBug | undefined): Promise<Summary[]> {
  const step = Math.min(availableParallelism(), count);
  const results: Summary[] = [];
  const workers = Array.from({ length: step }, (_unused, index) => {
    const order: Order = { first: first + index, count: Math.ceil((count - index) / step), step, bug };
    const worker = fork(import.meta.filename, [], {
      env: { ...process.env, DC_SIMULATION: JSON.stringify(order) },
    });
    worker.on('message', (summary) => {
      results.push(summary as Summary);
      if (process.stderr.isTTY) process.stderr.write(`\r${String(results.length)} of ${String(count)} seeds`);
    });
    return new Promise<void>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`a worker ended with ${String(code)}`)),
      );
    });
  });
  await Promise.all(workers);
  return results;
}

async function work({ first, count, step, bug }: Order): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const { trace: _trace, ...summary } = await simulate({
      seed: first + index * step,
      ...(bug === undefined ? {} : { bug }),
    });
    process.send?.(summary);
  }
  process.disconnect();
}

function print(results: readonly Summary[], tookMs: number): void {
  const sum = (of: (one: Summary) => number): number => results.reduce((total, one) => total + of(one), 0);
  const lives = sum((one) => one.lives);
  const faults = new Map<string, number>();
  for (const one of results)
    for (const [kind, count] of Object.entries(one.faults)) faults.set(kind, (faults.get(kind) ?? 0) + count);
  const broken = results.filter(({ violation }) => violation !== null);
  const lines = [
    `seeds           ${String(results.length)}`,
    `contract lives  ${String(lives)} (${(lives / (tookMs / 1000)).toFixed(0)} a second)`,
    `steps           ${String(sum((one) => one.steps))}, each with a check of the invariants`,
    `virtual time    ${(sum((one) => one.virtualMs) / 3_600_000).toFixed(1)} hours in ${(tookMs / 1000).toFixed(1)} s`,
    `given up        ${String(sum((one) => one.givenUp))} agents that only a person can help`,
    `violations      ${String(broken.length)}`,
    'faults',
    ...[...faults]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, n]) => `  ${kind.padEnd(26)} ${String(n)}`),
    ...broken.slice(0, 20).map(({ seed, violation }) => `seed ${String(seed)}: ${violation ?? ''}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

const order = process.env['DC_SIMULATION'];
if (order === undefined) process.exitCode = await main();
else await work(JSON.parse(order) as Order);
