/** Runs many seeds, one worker process for each core. */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { simulate, type SimulationOptions, type SimulationResult } from './simulation.ts';

/** What became of a seed, without its trace: a seed that is run again gives it again, in about the same time. */
export interface SeedSummary extends Omit<SimulationResult, 'trace'> {
  /** Processor time, of all threads. */
  readonly cpuMs: number;
}

/** Runs one seed in this process. */
export async function runSeed(
  options: SimulationOptions,
): Promise<{ readonly summary: SeedSummary; readonly trace: readonly string[] }> {
  const before = process.cpuUsage();
  const { trace, ...result } = await simulate(options);
  const { user, system } = process.cpuUsage(before);
  return { summary: { ...result, cpuMs: (user + system) / 1000 }, trace };
}

/** Which seeds to run. */
export interface SeedRange extends Omit<SimulationOptions, 'seed'> {
  readonly first: number;
  readonly count: number;
  /** Called after each seed; true ends the run. */
  readonly onResult?: (summary: SeedSummary) => boolean;
}

/** Every message is garbage a moment later: with room for the young, from the beginning, it costs little. */
const EXEC_ARGV = ['--min-semi-space-size=64', '--max-semi-space-size=64'];

/** Runs them all, or until `onResult` has seen enough. In the order in which they ended. */
export async function runSeeds({ first, count, onResult, ...options }: SeedRange): Promise<SeedSummary[]> {
  const results: SeedSummary[] = [];
  let next = first;
  let isOver = false;
  const worker = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = fork(join(import.meta.dirname, 'seed-worker.ts'), { execArgv: EXEC_ARGV });
      const order = (): void => {
        if (isOver || next >= first + count) child.disconnect();
        else child.send({ ...options, seed: next++ } satisfies SimulationOptions);
      };
      child.on('message', (message) => {
        const summary = message as SeedSummary;
        results.push(summary);
        if (onResult?.(summary) === true) isOver = true;
        order();
      });
      child.on('error', reject);
      child.on('exit', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`a worker ended with ${String(code)}`));
      });
      order();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), count) }, worker));
  return results;
}
