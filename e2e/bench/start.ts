/** How long `npm start` takes until it says that it is ready, on a machine where everything is installed. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { freePort, type Bench, type BenchRun } from './bench.ts';
import { figure, median } from './figure.ts';

const ROUNDS = 5;

export const start: Bench = {
  name: 'start',
  about: '`npm start` to ready, when installed',
  async run(run) {
    const freshMs: number[] = [];
    const againMs: number[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      run.progress(`start ${String(round)} of ${String(ROUNDS)}`);
      const dataDir = run.folder();
      freshMs.push(await timeStart(run, dataDir));
      againMs.push(await timeStart(run, dataDir));
    }
    return [
      figure('npm start → ready, with a new data folder', 's', median(freshMs) / 1000, {
        target: { atMost: 4 },
      }),
      figure('npm start → ready, a second time', 's', median(againMs) / 1000, { target: { atMost: 4 } }),
    ];
  },
};

/** Starts it, waits for the word, stops it with Ctrl-C's signal, and returns how long the word took. */
async function timeStart(run: BenchRun, dataDir: string): Promise<number> {
  const port = await freePort();
  const begunAt = performance.now();
  const child = spawn('npm', ['start', '--', '--port', String(port), '--data-dir', dataDir], {
    cwd: path.join(import.meta.dirname, '..', '..'),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // A group of its own, which has a signal as a whole, as a terminal's Ctrl-C would give it.
  });
  const interrupt = (): void => {
    if (child.pid !== undefined && !hasEnded) process.kill(-child.pid, 'SIGINT');
  };
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      hasEnded = true;
      resolve();
    });
  });
  run.onEnd(async () => {
    interrupt();
    await ended;
  });
  let output = '';
  const readyMs = await new Promise<number>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      if (/Ready in/.test(output)) resolve(performance.now() - begunAt);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('close', () => reject(new Error(`npm start ended before it was ready:\n${output}`)));
  });
  interrupt();
  await ended;
  return readyMs;
}
