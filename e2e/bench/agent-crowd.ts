/**
 * Half of the crowd of the `agents` benchmark, a process of its own: registers its agents as `dc-agent setup` does,
 * then each lives as a real one would, through the agent's own client: a stream that stays open, heartbeats over
 * a connection that is kept, a lease asked for at each nudge. Only what agents do at their backends is left out.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashIncluded, signCapacity } from '@dc/shared/evidence/capacity';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import { HttpCoordinator } from '../../agent/src/coordinator-client/http-coordinator.ts';
import { jittered } from '../../agent/src/lib/backoff.ts';
import { systemClock } from '../../agent/src/lib/system-clock.ts';
import { systemRandom } from '../../agent/src/lib/system-random.ts';
import { heartbeatPauseMs } from '../../agent/src/run/heartbeat-loop.ts';
import { POLL_MS } from '../../agent/src/run/work-loop.ts';
import { ApiClient } from '../api-client.ts';
import { offeringOf, register } from './record-agents.ts';

/** What a crowd is made of. */
export interface CrowdPlan {
  url: string;
  coordinatorKey: string;
  providers: number;
  agentsPerProvider: number;
}

/** A pool of the crowd's, and what it sells. */
export interface CrowdPool {
  poolId: string;
  offeringId: string;
}

/** Where to connect: the coordinator, or a server that wants the pool in front of the path. */
export interface CrowdTarget {
  target: string;
  hasPoolInPath: boolean;
}

/** What a crowd is told: first who it is, then, once or again, where to connect, when to measure, and to let go. */
export type CrowdCommand = CrowdPlan | CrowdTarget | 'measure' | 'end';

/** What it answers to each. */
export type CrowdAnswer = { pools: CrowdPool[] } | 'connected' | 'measuring' | CrowdMeasured;

/** What a crowd has seen since `measure`. */
export interface CrowdMeasured {
  /** For each pool: for each of its agents, when nudges arrived, in milliseconds since the epoch. */
  nudges: { poolId: string; agents: number[][] }[];
  /** Of every two heartbeats in a row: how long after the end of the coordinator's interval the later one came. */
  latesMs: number[];
  /** How long each heartbeat waited for its answer. */
  beatsMs: number[];
  leases: number;
  /** Streams that broke and calls that failed. */
  troubles: Record<string, number>;
}

const REGISTERING_AT_ONCE = 16;
const CONNECTING_AT_ONCE = 64;
const LEASES_MAX = 16;
/** Within this time of connecting an agent sends its first heartbeat. */
const FIRST_BEATS_MS = 15_000;
const LOOKS_EVERY_MS = 60_000;
const STATED_FOR_MS = 180_000;

const measured = (): Omit<CrowdMeasured, 'nudges'> => ({ latesMs: [], beatsMs: [], leases: 0, troubles: {} });
let seen = measured();

/** One agent. */
class CrowdAgent {
  readonly seed = randomBytes(32);
  readonly #key = SigningKey.fromSeed(this.seed);
  #ending = new AbortController();
  #loops: Promise<void>[] = [];
  nudgedAt: number[] = [];
  /** What the coordinator calls its installation. */
  environment = '';
  #coordinator: HttpCoordinator | null = null;
  #isLeasing = false;
  #stated = { at: -Infinity, compact: '' };
  #lastBeatAt: number | null = null;

  /** Opens the stream and begins its heartbeats within `spreadMs`. Resolves when the stream is open. */
  async connect(url: string, spreadMs: number): Promise<void> {
    const coordinator = new HttpCoordinator({
      url,
      key: this.#key,
      clock: systemClock,
      random: systemRandom,
    });
    this.#coordinator = coordinator;
    this.#ending = new AbortController();
    this.#lastBeatAt = null;
    const open = Promise.withResolvers<true>();
    this.#loops.push(this.#listen(coordinator, () => open.resolve(true)));
    this.#loops.push(this.#beat(coordinator, spreadMs), this.#poll(coordinator));
    await open.promise;
  }

  async end(): Promise<void> {
    this.#ending.abort();
    await this.#coordinator?.close();
    await Promise.all(this.#loops);
    this.#loops = [];
  }

  async #listen(coordinator: HttpCoordinator, onOpen: () => void): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await coordinator.readStream(({ name }) => {
          if (name === 'hello') onOpen();
          if (name !== 'work') return;
          this.nudgedAt.push(Date.now());
          void this.#lease(coordinator);
        }, signal);
        if (!signal.aborted) note('stream ended');
      } catch (error) {
        if (!signal.aborted) note(error);
      }
      await pause(500, signal);
    }
  }

  async #poll(coordinator: HttpCoordinator): Promise<void> {
    const { signal } = this.#ending;
    await pause(Math.random() * POLL_MS, signal);
    while (!signal.aborted) {
      await this.#lease(coordinator);
      await pause(jittered(POLL_MS, systemRandom), signal);
    }
  }

  async #lease(coordinator: HttpCoordinator): Promise<void> {
    if (this.#isLeasing) return;
    this.#isLeasing = true;
    try {
      seen.leases += (await coordinator.leaseWork(LEASES_MAX, this.#ending.signal)).length;
    } catch (error) {
      if (!this.#ending.signal.aborted) note(error);
    }
    this.#isLeasing = false;
  }

  async #beat(coordinator: HttpCoordinator, spreadMs: number): Promise<void> {
    const { signal } = this.#ending;
    await pause(Math.random() * spreadMs, signal);
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        const answer = await coordinator.heartbeat(this.#compose(), signal);
        seen.beatsMs.push(performance.now() - startedAt);
        const at = Date.parse(answer.server_time);
        if (this.#lastBeatAt !== null) seen.latesMs.push(at - this.#lastBeatAt - answer.next_interval_ms);
        this.#lastBeatAt = at;
        if (answer.open_work > 0) void this.#lease(coordinator);
        await pause(heartbeatPauseMs(answer.next_interval_ms, systemRandom), signal);
      } catch (error) {
        if (!signal.aborted) note(error);
        await pause(jittered(1_000, systemRandom), signal);
      }
    }
  }

  /** What a real agent says with each heartbeat: its capacity, signed anew after each look at its backend. */
  #compose(): WireHeartbeat {
    const at = Date.now();
    if (at - this.#stated.at > LOOKS_EVERY_MS) this.#stated = { at, compact: this.#state(at) };
    return {
      ...{ version: 'bench', running_contracts: [], healthy: true, capabilities: { provisioner: 'bench' } },
      ...{ capacity_statement: this.#stated.compact, capacity_includes: [] },
    };
  }

  #state(at: number): string {
    const statement = {
      ...{ environment: this.environment, backend: null, includes: hashIncluded([]) },
      ...{ seen_at: new Date(at).toISOString(), expires_at: new Date(at + STATED_FOR_MS).toISOString() },
      ...{ cpu: 64, memory_mb: 65_536, instances: 100, addresses: null, port_blocks: null },
      storages: [{ name: 'default', free_gb: 1000 }],
    };
    return signCapacity(statement, this.#key);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal }).catch(() => undefined); // Aborted: the loop ends by its condition.

function note(error: unknown): void {
  const name = error instanceof Error ? error.message : String(error);
  seen.troubles[name] = (seen.troubles[name] ?? 0) + 1;
}

/** Runs `job` for each item, so many at once. */
async function forEachAtOnce<T>(
  count: number,
  items: readonly T[],
  job: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: count }, async () => {
      for (const item of queue) await job(item);
    }),
  );
}

type Pool = CrowdPool & { agents: CrowdAgent[] };

/** Makes the providers, each with a pool, something to sell and its agents. */
async function setUp({ url, coordinatorKey, providers, agentsPerProvider }: CrowdPlan): Promise<Pool[]> {
  const pools: Pool[] = [];
  await forEachAtOnce(REGISTERING_AT_ONCE, Array.from({ length: providers }), async () => {
    const provider = new ApiClient(url);
    const { publicKey } = provider.key;
    await provider.post('/api/v1/accounts', { public_key: publicKey });
    await provider.post('/api/v1/providers', { name: 'Bench' });
    const base = `/api/v1/providers/${publicKey}`;
    const { id: poolId } = await provider.post<{ id: string }>(`${base}/pools`, {
      name: 'Bench',
      country: 'DE',
    });
    const offering = offeringOf(poolId, agentsPerProvider * 100);
    const { id: offeringId } = await provider.post<{ id: string }>(`${base}/offerings`, offering);
    const agents = Array.from({ length: agentsPerProvider }, () => new CrowdAgent());
    for (const agent of agents)
      agent.environment = await register(
        provider,
        { coordinatorKey, poolId },
        new ApiClient(url, agent.seed),
      );
    pools.push({ poolId, offeringId, agents });
  });
  return pools;
}

async function connect(pools: readonly Pool[], { target, hasPoolInPath }: CrowdTarget): Promise<void> {
  const all = pools.flatMap(({ poolId, agents }) =>
    agents.map((agent) => ({ agent, url: hasPoolInPath ? `${target}/${poolId}` : target })),
  );
  await forEachAtOnce(CONNECTING_AT_ONCE, all, ({ agent, url }) => agent.connect(url, FIRST_BEATS_MS));
}

let pools: Pool[] = [];

async function obey(command: CrowdCommand): Promise<CrowdAnswer> {
  if (typeof command === 'object' && 'target' in command) {
    await connect(pools, command);
    return 'connected';
  }
  if (typeof command === 'object') {
    pools = await setUp(command);
    return { pools: pools.map(({ poolId, offeringId }) => ({ poolId, offeringId })) };
  }
  const agents = pools.flatMap((pool) => pool.agents);
  if (command === 'measure') {
    seen = measured();
    for (const agent of agents) agent.nudgedAt = [];
    return 'measuring';
  }
  const nudges = pools.map((pool) => ({
    poolId: pool.poolId,
    agents: pool.agents.map(({ nudgedAt }) => nudgedAt),
  }));
  const result = { ...seen, nudges };
  await Promise.all(agents.map((agent) => agent.end()));
  return result;
}

// Whoever started us is gone: so are we.
process.once('disconnect', () => process.exit());
process.on('message', (command: CrowdCommand) => {
  obey(command).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
});
