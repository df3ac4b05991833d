/**
 * The stage of a simulation: the coordinator with its database, a market, agents with their backends, renters and
 * operators, on one virtual time. What happens on it is up to whoever plays: `simulation.ts` with chance and faults,
 * tests with a scene of their own.
 */
import { AgentNode } from './agent-node.ts';
import { CoordinatorNode } from './coordinator-node.ts';
import { Invariants } from './invariants.ts';
import { Market, type Provider } from './market.ts';
import { Link, Network } from './network.ts';
import { Operators } from './operators.ts';
import { PaymentHouse } from './payment-house.ts';
import { Renter } from './renter.ts';
import { settle } from './settle.ts';
import { NodeClock } from './virtual-time.ts';
import { WatchedBackend } from './watched-backend.ts';
import type { World } from './world.ts';

const ENVIRONMENT = 'simulation';
const RENTERS = 3;

/** How many of each there are: as many providers as numbers, and so many agents each. */
export interface Cast {
  readonly agents: readonly number[];
}

export class Stage {
  readonly world: World;
  readonly network: Network;
  readonly house: PaymentHouse;
  readonly coordinator: CoordinatorNode;
  readonly invariants: Invariants;
  readonly agents: AgentNode[] = [];
  readonly twins: AgentNode[] = [];
  readonly renters: Renter[] = [];
  readonly links: Link[] = [];
  /** Of people: renters and admins. */
  readonly peopleClock: NodeClock;
  readonly #sealSecret: Uint8Array;
  #operators: Operators | null = null;
  #steps = 0;

  constructor(world: World) {
    this.world = world;
    this.network = new Network(world, 0);
    this.house = new PaymentHouse(world);
    this.coordinator = new CoordinatorNode(world, this.house);
    this.house.coordinator = this.coordinator;
    this.#sealSecret = world.dice.fork('seal').bytes(32);
    this.peopleClock = new NodeClock(world.time);
    this.invariants = new Invariants(world, {
      sealSecret: this.#sealSecret,
      environment: ENVIRONMENT,
      house: this.house,
      agents: () =>
        this.agents.map(({ parts, journal, isGivenUp }) => ({
          key: parts.key.publicKey,
          poolId: parts.poolId,
          journal,
          isGivenUp,
        })),
      commits: () => this.coordinator.commits,
      forksMayHappen: () => world.faults.has('old disk') || world.faults.has('second daemon'),
    });
  }

  /** Timers that have fired so far. */
  get steps(): number {
    return this.#steps;
  }

  /** How many agents nobody can help any more. */
  get givenUp(): number {
    return this.agents.filter(({ isGivenUp }) => isGivenUp).length;
  }

  get operators(): Operators {
    if (this.#operators === null) throw new Error('the stage has to be set first');
    return this.#operators;
  }

  /** Starts the coordinator, sets the market up, and starts the agents. */
  async set({ agents }: Cast): Promise<void> {
    await this.coordinator.start();
    this.invariants.open(this.coordinator.config.databaseFile);
    const market = new Market(this.world, this.coordinator);
    const shops = [];
    for (const count of agents) {
      const provider = await market.provider(
        `prov${String(shops.length + 1)}`,
        this.world.dice.whole(10, 100),
      );
      shops.push({ offeringId: provider.offeringId });
      for (let left = count; left > 0; left -= 1) await this.#addAgent(market, provider);
    }
    const { world, network, coordinator, house, invariants } = this;
    const parts = {
      world,
      clock: this.peopleClock,
      link: this.#addLink('renters'),
      network,
      coordinator,
      house,
    };
    for (let count = 1; count <= RENTERS; count += 1) {
      const name = `renter${String(count)}`;
      this.renters.push(new Renter({ ...parts, name, shops, key: await market.account(name) }));
    }
    const key = await market.admin('keeper');
    this.#operators = new Operators({ ...parts, name: 'admin', key, agents: this.agents, invariants });
    for (const agent of this.agents) void agent.start();
    await this.advance(2_000);
  }

  /** Starts a second process with the key and the disk of an agent. */
  startTwin(agent: AgentNode): void {
    const name = `${agent.name}-twin${String(this.twins.length + 1)}`;
    const twin = new AgentNode({ ...agent.parts, name });
    twin.takeOver(agent);
    this.twins.push(twin);
    void twin.start();
  }

  /** Stops such a process, and keeps its disk for the agent whose key it has. */
  async retire(twin: AgentNode): Promise<void> {
    await this.#during(twin.stop());
    this.agents.find(({ parts }) => parts.key === twin.parts.key)?.keepSpare(twin);
  }

  /** Lets virtual time pass, with a check after each step. */
  async advance(ms: number): Promise<void> {
    const { time } = this.world;
    const until = time.now + ms;
    await settle();
    while (time.fireNext(until)) {
      this.#steps += 1;
      await settle();
      this.invariants.check();
    }
    this.invariants.checkAll();
  }

  /** Sets every wall clock forward: paid hours pass, and nothing happens in them. */
  leap(ms: number): void {
    this.world.note('world', `${String(ms / 60_000)} minutes pass`);
    this.peopleClock.aheadMs += ms;
    this.coordinator.clock.aheadMs += ms;
    for (const agent of this.agents) agent.setClock(this.coordinator.clock.aheadMs);
  }

  async close(): Promise<void> {
    for (const agent of [...this.agents, ...this.twins]) agent.crash('end');
    while (this.world.time.fireNext(this.world.time.now)) await settle();
    await settle();
    this.coordinator.crash();
    this.invariants.close();
    await settle();
  }

  async #addAgent(market: Market, provider: Provider): Promise<void> {
    const { dice } = this.world;
    const number = String(this.agents.length + 1);
    const name = `agent${number}`;
    // Agents of one pool mostly have a machine each; some share one.
    const neighbour = this.agents.find(({ parts }) => parts.poolId === provider.poolId);
    const isShared = neighbour !== undefined && dice.chance(0.3);
    const instancesMax = dice.chance(0.1) ? dice.whole(3, 8) : 100;
    const backend = isShared
      ? neighbour.parts.backend
      : new WatchedBackend(`backend${number}`, this.invariants, instancesMax);
    if (!isShared) this.invariants.watch(backend);
    const { world, network, coordinator } = this;
    this.agents.push(
      new AgentNode({
        world,
        name,
        key: await market.agent(name, provider),
        sealSecret: this.#sealSecret,
        providerKey: provider.key.publicKey,
        poolId: provider.poolId,
        coordinatorKey: coordinator.life?.context.key.publicKey ?? '',
        environment: ENVIRONMENT,
        backend,
        destructionsPerHour: dice.chance(0.5) ? 3 : 1_000,
        link: this.#addLink(name),
        network,
        coordinator,
        onGone: (contractId, where) => this.invariants.checkGone(contractId, where),
      }),
    );
  }

  #addLink(name: string): Link {
    const link = new Link(name);
    this.links.push(link);
    return link;
  }

  async #during(work: Promise<void>): Promise<void> {
    let isDone = false;
    void work.then(() => (isDone = true));
    while (!isDone) await this.advance(100);
  }
}
