/**
 * Runs one seed: the real coordinator and real agents on virtual time, faults for some minutes, then none until
 * everything has come to rest. The same seed gives the same run, line by line.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentNode } from './agent-node.ts';
import { CoordinatorNode } from './coordinator-node.ts';
import { Invariants } from './invariants.ts';
import { Market, type Provider } from './market.ts';
import { Link, Network } from './network.ts';
import { PaymentHouse } from './payment-house.ts';
import { Renter } from './renter.ts';
import { Operators } from './operators.ts';
import { settle } from './settle.ts';
import { Trouble } from './trouble.ts';
import { NodeClock } from './virtual-time.ts';
import { WatchedBackend } from './watched-backend.ts';
import { World, Violation, type PlantedBug } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly bug?: PlantedBug;
  /** A shorter run with fewer contracts. */
  readonly isSmall?: boolean;
}

/** What became of a seed. */
export interface SimulationResult {
  readonly seed: number;
  /** Null where every invariant held and everything came to rest. */
  readonly violation: string | null;
  /** Contracts that were made. */
  readonly lives: number;
  /** Timers that fired, each with a check after it. */
  readonly steps: number;
  readonly virtualMs: number;
  /** Agents whose chain was forked, by an old disk or a second process, for good. */
  readonly givenUp: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Over every line of the trace. */
  readonly traceHash: string;
  readonly trace: readonly string[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** In memory where the system has such a folder: a flush to the disk proves nothing here, and takes long. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const ENVIRONMENT = 'simulation';
/** How much of a whole run a small one is. */
const SMALL = 0.25;

/** Runs one seed to its end. */
export async function simulate({ seed, bug, isSmall }: SimulationOptions): Promise<SimulationResult> {
  const folder = mkdtempSync(join(FOLDER, 'dc-simulation-'));
  const world = new World(seed, folder, bug ?? null);
  const simulation = new Simulation(world, isSmall === true ? SMALL : 1);
  let violation: string | null = null;
  try {
    await simulation.run();
  } catch (error) {
    violation = error instanceof Violation ? error.message : String((error as Error).stack);
  } finally {
    await simulation.close();
    rmSync(folder, { recursive: true });
  }
  return {
    seed,
    violation,
    lives: simulation.lives,
    steps: simulation.steps,
    virtualMs: world.time.now,
    givenUp: simulation.givenUp,
    faults: Object.fromEntries([...world.faults].sort()),
    traceHash: world.trace.end(),
    trace: world.trace.lines,
  };
}

class Simulation {
  readonly #world: World;
  readonly #network: Network;
  readonly #house: PaymentHouse;
  readonly #coordinator: CoordinatorNode;
  readonly #invariants: Invariants;
  readonly #sealSecret: Uint8Array;
  readonly #agents: AgentNode[] = [];
  readonly #twins: AgentNode[] = [];
  readonly #renters: Renter[] = [];
  readonly #links: Link[] = [];
  /** Of people: renters and admins. */
  readonly #renterClock: NodeClock;
  #operators: Operators | null = null;
  /** 1 for a whole one. */
  readonly #size: number;
  #steps = 0;

  constructor(world: World, size: number) {
    this.#world = world;
    this.#size = size;
    this.#network = new Network(world, 0);
    this.#house = new PaymentHouse(world);
    this.#coordinator = new CoordinatorNode(world, this.#house);
    this.#house.coordinator = this.#coordinator;
    this.#sealSecret = world.dice.fork('seal').bytes(32);
    this.#renterClock = new NodeClock(world.time);
    this.#invariants = new Invariants(world, {
      sealSecret: this.#sealSecret,
      environment: ENVIRONMENT,
      journals: () => this.#agents.map(({ journal }) => journal),
      forksMayHappen: () => world.faults.has('old disk') || world.faults.has('second daemon'),
    });
  }

  get steps(): number {
    return this.#steps;
  }

  get givenUp(): number {
    return this.#agents.filter(({ isGivenUp }) => isGivenUp).length;
  }

  get lives(): number {
    return this.#invariants.contracts;
  }

  async run(): Promise<void> {
    const { dice } = this.#world;
    await this.#coordinator.start();
    this.#invariants.open(this.#coordinator.config.databaseFile);
    await this.#setUp();
    for (const agent of this.#agents) void agent.start();
    await this.#advance(2_000);

    this.#network.faultPercent = dice.chance(0.2) ? 0 : dice.between(0, 8);
    const trouble = new Trouble({
      world: this.#world,
      network: this.#network,
      coordinator: this.#coordinator,
      agents: this.#agents,
      links: this.#links,
      startTwin: (agent) => this.#startTwin(agent),
    });
    const troubledMs = this.#size * dice.between(1.5 * MINUTE_MS, 4 * MINUTE_MS);
    trouble.plan(troubledMs);
    this.#operators?.plan(troubledMs);
    this.#planRentals(troubledMs, trouble);
    for (let passed = 0; passed < troubledMs; passed += 20_000) {
      await this.#advance(20_000);
      trouble.operate();
      this.#operators?.operate();
    }
    for (const twin of this.#twins) await this.#retire(twin);
    await trouble.end();
    this.#operators?.end();
    await this.#comeToRest(trouble);
  }

  async close(): Promise<void> {
    for (const agent of [...this.#agents, ...this.#twins]) agent.crash('end');
    while (this.#world.time.fireNext(this.#world.time.now)) await settle();
    await settle();
    this.#coordinator.crash();
    this.#invariants.close();
    await settle();
  }

  async #setUp(): Promise<void> {
    const { dice } = this.#world;
    const market = new Market(this.#world, this.#coordinator);
    const providers: Provider[] = [];
    for (let count = dice.whole(1, 2); count > 0; count -= 1) {
      const provider = await market.provider(`prov${String(providers.length + 1)}`, dice.whole(10, 100));
      providers.push(provider);
      for (let agents = dice.whole(1, 2); agents > 0; agents -= 1) await this.#addAgent(market, provider);
    }
    const link = this.#addLink('renters');
    const shops = providers.map(({ offeringId }) => ({ offeringId }));
    const parts = {
      world: this.#world,
      clock: this.#renterClock,
      link,
      network: this.#network,
      coordinator: this.#coordinator,
      house: this.#house,
    };
    for (let count = 1; count <= 3; count += 1) {
      const name = `renter${String(count)}`;
      this.#renters.push(new Renter({ ...parts, name, shops, key: await market.account(name) }));
    }
    this.#operators = new Operators({
      ...parts,
      name: 'admin',
      key: await market.admin('keeper'),
      agents: this.#agents,
      invariants: this.#invariants,
    });
  }

  async #addAgent(market: Market, provider: Provider): Promise<void> {
    const { dice } = this.#world;
    const name = `agent${String(this.#agents.length + 1)}`;
    // Agents of one pool mostly have a machine each; some share one.
    const neighbour = this.#agents.find(({ parts }) => parts.poolId === provider.poolId);
    const isShared = neighbour !== undefined && dice.chance(0.3);
    const backend = isShared
      ? neighbour.parts.backend
      : new WatchedBackend(
          `backend${String(this.#agents.length + 1)}`,
          this.#invariants,
          dice.chance(0.1) ? dice.whole(3, 8) : 100,
        );
    if (!isShared) this.#invariants.watch(backend);
    this.#agents.push(
      new AgentNode({
        world: this.#world,
        name,
        key: await market.agent(name, provider),
        sealSecret: this.#sealSecret,
        providerKey: provider.key.publicKey,
        poolId: provider.poolId,
        coordinatorKey: this.#coordinator.life?.context.key.publicKey ?? '',
        environment: ENVIRONMENT,
        backend,
        destructionsPerHour: dice.chance(0.5) ? 3 : 1_000,
        link: this.#addLink(name),
        network: this.#network,
        coordinator: this.#coordinator,
        onGone: (contractId, where) => this.#invariants.checkGone(contractId, where),
      }),
    );
  }

  #addLink(name: string): Link {
    const link = new Link(name);
    this.#links.push(link);
    return link;
  }

  #planRentals(troubledMs: number, trouble: Trouble): void {
    const world = this.#world;
    const dice = world.dice.fork('rentals');
    for (let count = Math.round(this.#size * dice.whole(30, 70)); count > 0; count -= 1) {
      const renter = dice.pick(this.#renters);
      world.time.schedule(dice.between(0, troubledMs - 20_000), () => {
        void renter.rent((contractId) => trouble.putForeign(contractId));
      });
    }
  }

  #startTwin(agent: AgentNode): void {
    const twin = new AgentNode({
      ...agent.parts,
      name: `${agent.name}-twin${String(this.#twins.length + 1)}`,
    });
    twin.takeOver(agent);
    this.#twins.push(twin);
    void twin.start();
  }

  async #retire(twin: AgentNode): Promise<void> {
    await this.#during(twin.stop());
    const agent = this.#agents.find(({ parts }) => parts.key === twin.parts.key);
    if (agent !== undefined) agent.keepSpare(twin);
  }

  /** Everything that was begun must end by itself, within bounded time. */
  async #comeToRest(trouble: Trouble): Promise<void> {
    const deadline = this.#world.time.now + 25 * MINUTE_MS;
    for (let leaps = 0; this.#world.time.now < deadline;) {
      await this.#advance(5_000);
      trouble.operate();
      this.#operators?.operate();
      const unrest = this.#invariants.unrest();
      if (unrest.length === 0) break;
      // Only the paid time has to pass: the night, on every clock.
      const isWaiting = unrest.every((line) => / is (active|requested), |holds its place|escrow/.test(line));
      if (isWaiting && leaps < 8) {
        this.#leap(HOUR_MS);
        leaps += 1;
      }
    }
    const unrest = this.#invariants.unrest();
    if (this.givenUp === 0 && unrest.length > 0) this.#world.violate('rest', unrest.join('; '));
    this.#world.assertSound();
  }

  #leap(ms: number): void {
    this.#world.note('world', 'an hour passes');
    this.#renterClock.aheadMs += ms;
    this.#coordinator.clock.aheadMs += ms;
    for (const agent of this.#agents) agent.setClock(this.#coordinator.clock.aheadMs);
  }

  /** Lets virtual time pass, with a check after each step. */
  async #advance(ms: number): Promise<void> {
    const { time } = this.#world;
    const until = time.now + ms;
    await settle();
    while (time.fireNext(until)) {
      this.#steps += 1;
      await settle();
      this.#invariants.check();
    }
  }

  async #during(work: Promise<void>): Promise<void> {
    let isDone = false;
    void work.then(() => (isDone = true));
    while (!isDone) await this.#advance(100);
  }
}
