/**
 * Ten thousand agents on one coordinator: how soon a paid contract reaches the streams of its pool, what the
 * coordinator's process holds meanwhile, and whether every heartbeat is in time.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChildProcess } from 'node:child_process';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import { ApiClient } from '../api-client.ts';
import { startSystem } from '../start-system.ts';
import type { CrowdAnswer, CrowdCommand, CrowdMeasured, CrowdPlan, CrowdPool } from './agent-crowd.ts';
import { freePort, nextMessage, type Bench, type BenchRun } from './bench.ts';
import { figure, percentile, type Figure } from './figure.ts';
import { readUsage } from './process-usage.ts';
import { rent } from './record-agents.ts';

const CROWDS = 2;
const PROVIDERS = 500;
const AGENTS_PER_PROVIDER = 20;
const RENTALS_PER_S = 10;
const RENTERS = 100;
/** Long enough for four heartbeats of each agent. */
const MEASURE_MS = 60_000;
/** After everybody has connected: until heartbeats come evenly. */
const SETTLE_MS = 20_000;
/** What has not arrived by then counts as this. */
const NUDGE_MS_MAX = 10_000;

export const agents: Bench = {
  name: 'agents',
  about: '10,000 connected agents: nudges, memory, and heartbeats in time',
  async run(run) {
    if (!existsSync('/proc/self/stat')) throw new Error('this needs /proc, which only Linux has');
    const { url, coordinatorKey, pid } = await startCoordinator(run);
    const crowds = Array.from({ length: CROWDS }, () => new Crowd(run));
    const count = PROVIDERS * AGENTS_PER_PROVIDER;
    run.progress(`registering ${String(count)} agents`);
    const registeringSince = performance.now();
    const plan = {
      url,
      coordinatorKey,
      providers: PROVIDERS / CROWDS,
      agentsPerProvider: AGENTS_PER_PROVIDER,
    };
    const pools = (await Promise.all(crowds.map((crowd) => crowd.setUp(plan)))).flat();
    const registeredS = (performance.now() - registeringSince) / 1000;
    run.progress('connecting');
    const connectingSince = performance.now();
    await Promise.all(crowds.map((crowd) => crowd.tell('connect')));
    const connectedS = (performance.now() - connectingSince) / 1000;
    await delay(SETTLE_MS);
    run.progress(`renting ${String(RENTALS_PER_S)} a second for ${String(MEASURE_MS / 1000)} s`);
    await Promise.all(crowds.map((crowd) => crowd.tell('measure')));
    const before = readUsage(pid);
    const { rentals, residentMb } = await rentFor(url, pools, pid);
    const cpuPercent = ((readUsage(pid).cpuSeconds - before.cpuSeconds) * 100_000) / MEASURE_MS;
    await delay(1_000); // The last nudges are on their way.
    const seen = await Promise.all(crowds.map((crowd) => crowd.end()));
    for (const { troubles } of seen)
      for (const [trouble, times] of Object.entries(troubles)) run.progress(`${String(times)} × ${trouble}`);
    return [
      ...describe(rentals, seen),
      figure('coordinator: resident', 'MB', residentMb, { target: { atMost: 900 } }),
      figure('coordinator: of a core', '%', cpuPercent),
      figure(`${count.toLocaleString('en')} agents registered in`, 's', registeredS),
      figure('… and connected in', 's', connectedS),
    ];
  },
};

interface Rental {
  poolId: string;
  paidAt: number;
}

function describe(rentals: readonly Rental[], seen: readonly CrowdMeasured[]): Figure[] {
  const nudgesMs = findNudges(
    rentals,
    seen.flatMap(({ nudges }) => nudges),
  );
  const latesMs = seen.flatMap((crowd) => crowd.latesMs);
  const beatsMs = seen.flatMap((crowd) => crowd.beatsMs);
  const late = latesMs.filter((lateMs) => lateMs > 0);
  return [
    figure('paid → nudge on every stream of the pool, p50', 'ms', percentile(nudgesMs, 0.5)),
    figure('paid → nudge on every stream of the pool, p99', 'ms', percentile(nudgesMs, 0.99), {
      target: { atMost: 200 },
    }),
    figure('paid → nudge on every stream of the pool, max', 'ms', percentile(nudgesMs, 1)),
    figure(`heartbeats after their interval, of ${latesMs.length.toLocaleString('en')}`, '', late.length, {
      target: { atMost: 0 },
    }),
    figure('… the latest came before its interval’s end by', 'ms', -percentile(latesMs, 1)),
    figure('heartbeat answered, p99', 'ms', percentile(beatsMs, 0.99)),
  ];
}

/** For each rental and each agent of its pool: how long after the payment the first nudge came. */
export function findNudges(rentals: readonly Rental[], pools: CrowdMeasured['nudges']): number[] {
  const agentsOf = new Map(pools.map(({ poolId, agents: each }) => [poolId, each]));
  return rentals.flatMap(({ poolId, paidAt }) =>
    (agentsOf.get(poolId) ?? []).map((nudgedAt) => {
      const first = nudgedAt.find((at) => at >= paidAt);
      return first === undefined ? NUDGE_MS_MAX : Math.min(NUDGE_MS_MAX, first - paidAt);
    }),
  );
}

/** The coordinator as `npm start` runs it, with its real limits; without the demonstration's agent. */
async function startCoordinator(
  run: BenchRun,
): Promise<{ url: string; coordinatorKey: string; pid: number }> {
  run.progress('starting the coordinator');
  const dataDir = run.folder();
  const system = await startSystem({ port: await freePort(), dataDir, coordinatorToml: '' });
  run.onEnd(() => system.stop());
  await system.agent.stop();
  const seed = seedFromHex(readFileSync(path.join(dataDir, 'coordinator.key'), 'utf8'));
  const { pid } = system.coordinator;
  if (pid === undefined) throw new Error('the coordinator did not start');
  return { url: system.url, coordinatorKey: SigningKey.fromSeed(seed).publicKey, pid };
}

/** Rents at a steady rate, each pool in its turn; answers what was paid when, and the most memory in use meanwhile. */
async function rentFor(
  url: string,
  pools: readonly CrowdPool[],
  pid: number,
): Promise<{ rentals: Rental[]; residentMb: number }> {
  const renters = Array.from({ length: RENTERS }, () => new ApiClient(url));
  for (const renter of renters) await renter.post('/api/v1/accounts', { public_key: renter.key.publicKey });
  const rentals: Promise<Rental | Error>[] = [];
  let residentMb = 0;
  const startedAt = performance.now();
  const total = (MEASURE_MS / 1000) * RENTALS_PER_S;
  for (let index = 0; index < total; index += 1) {
    await delay(Math.max(0, startedAt + (index * 1000) / RENTALS_PER_S - performance.now()));
    const renter = renters[index % RENTERS];
    const pool = pools[index % pools.length];
    if (renter === undefined || pool === undefined) throw new Error('there is nobody to rent, or nothing');
    rentals.push(
      rent(renter, pool.offeringId).then(
        ({ paid_at }) => ({ poolId: pool.poolId, paidAt: Date.parse(paid_at ?? '') }),
        (error: unknown) => new Error('a rental failed', { cause: error }),
      ),
    );
    residentMb = Math.max(residentMb, readUsage(pid).residentMb);
  }
  const results = await Promise.all(rentals);
  const paid = results.map((result) => {
    if (result instanceof Error) throw result;
    return result;
  });
  return { rentals: paid, residentMb };
}

/** One of the processes that play agents. */
class Crowd {
  readonly #child: ChildProcess;

  constructor(run: BenchRun) {
    this.#child = run.start(path.join(import.meta.dirname, 'agent-crowd.ts'));
  }

  async setUp(plan: CrowdPlan): Promise<CrowdPool[]> {
    const answer = await this.tell(plan);
    if (typeof answer !== 'object' || !('pools' in answer))
      throw new Error('a crowd answered something else');
    return answer.pools;
  }

  async end(): Promise<CrowdMeasured> {
    const answer = await this.tell('end');
    if (typeof answer !== 'object' || !('nudges' in answer))
      throw new Error('a crowd answered something else');
    return answer;
  }

  tell(command: CrowdCommand): Promise<CrowdAnswer> {
    const answer = nextMessage<CrowdAnswer>(this.#child);
    this.#child.send(command);
    return answer;
  }
}
