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
import type {
  CrowdAnswer,
  CrowdCommand,
  CrowdMeasured,
  CrowdPlan,
  CrowdPool,
  CrowdTarget,
} from './agent-crowd.ts';
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
const FLOOR_MS = 20_000;
/** After everybody has connected: until heartbeats come evenly. */
const SETTLE_MS = 20_000;
/** What has not arrived by then counts as this. */
const NUDGE_MS_MAX = 10_000;

export const agents: Bench = {
  name: 'agents',
  about: '10,000 connected agents: nudges, memory, and heartbeats in time',
  async run(run) {
    if (!existsSync('/proc/self/stat')) throw new Error('this needs /proc, which only Linux has');
    const coordinator = await startCoordinator(run);
    const crowds = Array.from({ length: CROWDS }, () => new Crowd(run));
    const count = PROVIDERS * AGENTS_PER_PROVIDER;
    run.progress(`registering ${String(count)} agents`);
    const registeringSince = performance.now();
    const plan = {
      ...{ url: coordinator.url, coordinatorKey: coordinator.key },
      ...{ providers: PROVIDERS / CROWDS, agentsPerProvider: AGENTS_PER_PROVIDER },
    };
    const pools = (await Promise.all(crowds.map((crowd) => crowd.setUp(plan)))).flat();
    const registeredS = (performance.now() - registeringSince) / 1000;
    const renters = await Promise.all(Array.from({ length: RENTERS }, () => arrive(coordinator.url)));
    const real = await measure(run, crowds, {
      pid: coordinator.pid,
      target: { target: coordinator.url, hasPoolInPath: false },
      measureMs: MEASURE_MS,
      async pay(index) {
        const { poolId, offeringId } = at(pools, index);
        const { paid_at } = await rent(at(renters, index), offeringId);
        return { poolId, paidAt: Date.parse(paid_at ?? '') };
      },
    });
    await coordinator.stop();
    const floor = await measureFloor(run, crowds, pools);
    return [
      ...describe(real, floor),
      figure(`${count.toLocaleString('en')} agents registered in`, 's', registeredS),
      figure('… and connected in', 's', real.connectedS, { floor: floor.connectedS }),
    ];
  },
};

/** What is measured, and how a contract of a pool is paid there. */
interface Subject {
  pid: number;
  target: CrowdTarget;
  measureMs: number;
  pay(index: number): Promise<Rental>;
}

interface Measured {
  rentals: Rental[];
  seen: CrowdMeasured[];
  connectedS: number;
  residentMb: number;
  cpuPercent: number;
}

/** Connects the crowds, pays contracts at a steady rate, each pool in its turn, and lets go. */
async function measure(run: BenchRun, crowds: readonly Crowd[], subject: Subject): Promise<Measured> {
  const { pid, measureMs } = subject;
  run.progress(`connecting to ${subject.target.hasPoolInPath ? 'the floor' : 'the coordinator'}`);
  const connectingSince = performance.now();
  await Promise.all(crowds.map((crowd) => crowd.tell(subject.target)));
  const connectedS = (performance.now() - connectingSince) / 1000;
  await delay(SETTLE_MS);
  run.progress(`paying ${String(RENTALS_PER_S)} contracts a second for ${String(measureMs / 1000)} s`);
  await Promise.all(crowds.map((crowd) => crowd.tell('measure')));
  const before = readUsage(pid);
  const { rentals, residentMb } = await payFor(subject);
  const cpuPercent = ((readUsage(pid).cpuSeconds - before.cpuSeconds) * 100_000) / measureMs;
  await delay(1_000); // The last nudges are on their way.
  const seen = await Promise.all(crowds.map((crowd) => crowd.end()));
  for (const { troubles } of seen)
    for (const [trouble, times] of Object.entries(troubles)) run.progress(`${String(times)} × ${trouble}`);
  return { rentals, seen, connectedS, residentMb, cpuPercent };
}

/** The same crowds at a server that only holds connections and passes nudges on. */
async function measureFloor(
  run: BenchRun,
  crowds: readonly Crowd[],
  pools: readonly CrowdPool[],
): Promise<Measured> {
  const port = await freePort();
  const child = run.start(path.join(import.meta.dirname, 'agent-floor.ts'), [String(port)]);
  await nextMessage(child);
  if (child.pid === undefined) throw new Error('the floor did not start');
  const url = `http://127.0.0.1:${String(port)}`;
  return measure(run, crowds, {
    ...{ pid: child.pid, target: { target: url, hasPoolInPath: true }, measureMs: FLOOR_MS },
    async pay(index) {
      const { poolId } = at(pools, index);
      const response = await fetch(`${url}/${poolId}/nudge`, { method: 'POST' });
      return { poolId, paidAt: ((await response.json()) as { at: number }).at };
    },
  });
}

interface Rental {
  poolId: string;
  paidAt: number;
}

function describe(real: Measured, bare: Measured): Figure[] {
  const nudgesMs = nudgesOf(real);
  const floorsMs = nudgesOf(bare);
  const latesMs = real.seen.flatMap((crowd) => crowd.latesMs);
  const late = latesMs.filter((lateMs) => lateMs > 0);
  const nudge = (name: string, fraction: number, target: Figure['target'] = null): Figure =>
    figure(`paid → nudge on every stream of the pool, ${name}`, 'ms', percentile(nudgesMs, fraction), {
      ...{ target, floor: percentile(floorsMs, fraction) },
    });
  const answered = ({ seen }: Measured): number =>
    percentile(
      seen.flatMap((crowd) => crowd.beatsMs),
      0.99,
    );
  return [
    nudge('p50', 0.5),
    nudge('p99', 0.99, { atMost: 200 }),
    nudge('max', 1),
    figure('coordinator: resident', 'MB', real.residentMb, {
      ...{ target: { atMost: 900 }, floor: bare.residentMb },
    }),
    figure('coordinator: of a core', '%', real.cpuPercent, { floor: bare.cpuPercent }),
    figure(`heartbeats after their interval, of ${latesMs.length.toLocaleString('en')}`, '', late.length, {
      target: { atMost: 0 },
    }),
    figure('… the latest came before its interval’s end by', 'ms', -percentile(latesMs, 1)),
    figure('heartbeat answered, p99', 'ms', answered(real), { floor: answered(bare) }),
  ];
}

const nudgesOf = ({ rentals, seen }: Measured): number[] =>
  findNudges(
    rentals,
    seen.flatMap(({ nudges }) => nudges),
  );

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
): Promise<{ url: string; key: string; pid: number; stop(): Promise<void> }> {
  run.progress('starting the coordinator');
  const dataDir = run.folder();
  const system = await startSystem({ port: await freePort(), dataDir, coordinatorToml: '' });
  run.onEnd(() => system.stop());
  await system.agent.stop();
  const seed = seedFromHex(readFileSync(path.join(dataDir, 'coordinator.key'), 'utf8'));
  const { pid } = system.coordinator;
  if (pid === undefined) throw new Error('the coordinator did not start');
  return { url: system.url, key: SigningKey.fromSeed(seed).publicKey, pid, stop: () => system.stop() };
}

async function arrive(url: string): Promise<ApiClient> {
  const renter = new ApiClient(url);
  await renter.post('/api/v1/accounts', { public_key: renter.key.publicKey });
  return renter;
}

/** Pays at a steady rate; answers what was paid when, and the most memory in use meanwhile. */
async function payFor({ pid, measureMs, pay }: Subject): Promise<{ rentals: Rental[]; residentMb: number }> {
  const rentals: Promise<Rental | Error>[] = [];
  let residentMb = 0;
  const startedAt = performance.now();
  const total = (measureMs / 1000) * RENTALS_PER_S;
  for (let index = 0; index < total; index += 1) {
    await delay(Math.max(0, startedAt + (index * 1000) / RENTALS_PER_S - performance.now()));
    rentals.push(pay(index).catch((error: unknown) => new Error('a rental failed', { cause: error })));
    residentMb = Math.max(residentMb, readUsage(pid).residentMb);
  }
  const paid = (await Promise.all(rentals)).map((result) => {
    if (result instanceof Error) throw result;
    return result;
  });
  return { rentals: paid, residentMb };
}

/** One after the other, and again from the first. */
function at<T>(items: readonly T[], index: number): T {
  const item = items[index % items.length];
  if (item === undefined) throw new Error('there is nobody to rent, or nothing');
  return item;
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
