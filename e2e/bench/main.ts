/**
 * `npm run bench [-- NAME…] [--json]`: measures the figures that the project promises, each beside a floor of the same
 * run, because machines differ. A missed target is a word in the table, not a failure: a benchmark is no test.
 */
import os from 'node:os';
import { parseArgs } from 'node:util';
import { agents } from './agents.ts';
import { BenchRun, type Bench } from './bench.ts';
import { isReached, renderTable, type Figure } from './figure.ts';
import { idle } from './idle.ts';
import { money } from './money.ts';
import { page } from './page.ts';
import { proxmox } from './proxmox.ts';
import { records } from './records.ts';
import { rentals } from './rentals.ts';
import { slowBackend } from './slow-backend.ts';
import { start } from './start.ts';

const BENCHES: readonly Bench[] = [rentals, slowBackend, proxmox, records, agents, start, page, money, idle];

const USAGE = `Usage: npm run bench -- [NAME…] [--json]

${BENCHES.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}
`;

interface Result {
  bench: string;
  duration_ms: number;
  figures: (Figure & { reached: boolean | null })[];
  /** Why there are no figures; null when all went well. */
  error: string | null;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const unknown = positionals.filter((name) => !BENCHES.some((bench) => bench.name === name));
  if (values.help || unknown.length > 0) {
    process.stdout.write(
      unknown.length > 0 ? `There is no benchmark ${unknown.join(', ')}.\n\n${USAGE}` : USAGE,
    );
    return unknown.length > 0 ? 2 : 0;
  }
  const chosen = BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const results: Result[] = [];
  for (const bench of chosen) {
    const result = await measure(bench);
    results.push(result);
    if (!values.json) process.stdout.write(renderResult(result));
  }
  const machine = `${os.cpus()[0]?.model ?? 'unknown'}, ${String(os.availableParallelism())} cores, Node ${process.version}`;
  if (values.json) process.stdout.write(`${JSON.stringify({ machine, results }, null, 2)}\n`);
  else process.stdout.write(`\n${machine}\n`);
  return 0;
}

async function measure(bench: Bench): Promise<Result> {
  const startedAt = performance.now();
  const run = new BenchRun((text) => process.stderr.write(`  ${bench.name}: ${text}\n`));
  const cancel = (): void => {
    void run.end().finally(() => process.exit(130));
  };
  process.once('SIGINT', cancel).once('SIGTERM', cancel);
  let figures: Figure[] = [];
  let error: string | null = null;
  try {
    figures = await bench.run(run);
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  process.off('SIGINT', cancel).off('SIGTERM', cancel);
  await run.end();
  return {
    bench: bench.name,
    duration_ms: Math.round(performance.now() - startedAt),
    figures: figures.map((each) => ({ ...each, reached: isReached(each) })),
    error,
  };
}

function renderResult({ bench, duration_ms, figures, error }: Result): string {
  const head = `\n━━ ${bench} (${(duration_ms / 1000).toFixed(0)} s) ━━\n`;
  return head + (error === null ? `${renderTable(figures)}\n` : `Could not be measured: ${error}\n`);
}

process.exitCode = await main();
