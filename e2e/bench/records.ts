/** How many signed records a second the coordinator accepts: one a request against its floor, and in batches. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import { ApiClient } from '../api-client.ts';
import { startSystem } from '../start-system.ts';
import { freePort, nextMessage, type Bench, type BenchRun } from './bench.ts';
import { figure, median } from './figure.ts';
import { prepareAgents } from './record-agents.ts';
import type { ChainEnd, LoadDone, LoadPlan, LoadReady } from './record-load.ts';
import { NO_RATE_LIMITS } from './without-limits.ts';

const AGENTS = 64; // One connection each.
const ROUNDS = 5;
const SINGLE = { requestsPerAgent: 100, recordsPerRequest: 1 };
const BATCH = { requestsPerAgent: 4, recordsPerRequest: 100 };
const BATCH_ROUNDS = 3;
const MEMORY_FILES = '/dev/shm';

export const records: Bench = {
  name: 'records',
  about: 'signed records a second, one a request beside a bare Fastify route, and in batches of 100',
  async run(run) {
    const onDisk = await measureIn(run, undefined);
    const figures = [
      figure('one a request', '1/s', median(onDisk.rates), { floor: median(onDisk.floorRates) }),
      figure('… of the floor, median of rounds', '%', onDisk.percentOfFloor, { target: { atLeast: 60 } }),
      figure('in batches of 100', '1/s', onDisk.batchRate, { target: { atLeast: 5000 } }),
    ];
    if (!existsSync(MEMORY_FILES)) return figures;
    // A disk that is slow to flush hides what the processor does: the same once more without one.
    const inMemory = await measureIn(run, MEMORY_FILES);
    return [
      ...figures,
      figure('one a request, files in memory', '1/s', median(inMemory.rates), {
        floor: median(inMemory.floorRates),
      }),
      figure('… of the floor, median of rounds', '%', inMemory.percentOfFloor),
      figure('in batches of 100, files in memory', '1/s', inMemory.batchRate),
    ];
  },
};

interface Measured {
  rates: number[];
  floorRates: number[];
  percentOfFloor: number;
  batchRate: number;
}

/** Measures with both databases in `parent`. */
async function measureIn(run: BenchRun, parent: string | undefined): Promise<Measured> {
  const target = await startTarget(run, run.folder(parent));
  const floorUrl = await startFloor(run, run.folder(parent));
  const load = run.start(path.join(import.meta.dirname, 'record-load.ts'));
  const coordinator = new Loaded(load, target.url, target.chains);
  const floor = new Loaded(load, floorUrl, target.chains);

  run.progress('warming up');
  await coordinator.measure(SINGLE);
  await floor.measure(SINGLE);
  const rates: number[] = [];
  const floorRates: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    run.progress(`one a request, round ${String(round)} of ${String(ROUNDS)}`);
    // Whoever goes second finds a warmer machine: they take turns.
    if (round % 2 === 0) rates.push(await coordinator.measure(SINGLE));
    floorRates.push(await floor.measure(SINGLE));
    if (round % 2 === 1) rates.push(await coordinator.measure(SINGLE));
  }
  const batchRates: number[] = [];
  for (let round = 1; round <= BATCH_ROUNDS; round += 1) {
    run.progress(`batches of 100, round ${String(round)} of ${String(BATCH_ROUNDS)}`);
    batchRates.push(await coordinator.measure(BATCH));
  }
  const ratios = rates.map((rate, index) => rate / (floorRates[index] ?? Infinity));
  await target.stop();
  return { rates, floorRates, percentOfFloor: 100 * median(ratios), batchRate: median(batchRates) };
}

/** A server under load, with the chains as that server knows them. */
class Loaded {
  readonly #load: ChildProcess;
  readonly #url: string;
  #chains: ChainEnd[];

  constructor(load: ChildProcess, url: string, chains: ChainEnd[]) {
    this.#load = load;
    this.#url = url;
    this.#chains = chains;
  }

  /** Sends one round, and returns the records accepted a second. */
  async measure(size: Pick<LoadPlan, 'requestsPerAgent' | 'recordsPerRequest'>): Promise<number> {
    const plan: LoadPlan = { url: this.#url, chains: this.#chains, ...size };
    const ready = nextMessage<LoadReady>(this.#load);
    this.#load.send(plan);
    this.#chains = (await ready).chains;
    const done = nextMessage<LoadDone>(this.#load);
    this.#load.send('go');
    const { elapsedMs, failure } = await done;
    if (failure !== null) throw new Error(`a record was not accepted: ${failure}`);
    return (this.#chains.length * size.requestsPerAgent * size.recordsPerRequest * 1000) / elapsedMs;
  }
}

/** The coordinator, as `npm start` runs it, with agents that nobody but the load plays. */
async function startTarget(
  run: BenchRun,
  dataDir: string,
): Promise<{ url: string; chains: ChainEnd[]; stop(): Promise<void> }> {
  run.progress('starting the coordinator');
  const system = await startSystem({ port: await freePort(), dataDir, coordinatorToml: NO_RATE_LIMITS });
  run.onEnd(() => system.stop());
  await system.agent.stop();
  const seedIn = (name: string) => seedFromHex(readFileSync(path.join(dataDir, name), 'utf8'));
  const provider = new ApiClient(system.url, seedIn('provider.key'));
  const coordinatorKey = SigningKey.fromSeed(seedIn('coordinator.key')).publicKey;
  run.progress(`registering ${String(AGENTS)} agents`);
  const chains = await prepareAgents(provider, coordinatorKey, AGENTS);
  return { url: system.url, chains, stop: () => system.stop() };
}

async function startFloor(run: BenchRun, folder: string): Promise<string> {
  const port = await freePort();
  const file = path.join(import.meta.dirname, 'record-floor.ts');
  const floor = run.start(file, [String(port), path.join(folder, 'floor.db')]);
  await nextMessage(floor);
  return `http://127.0.0.1:${String(port)}`;
}
