/** What goes wrong in a simulation, when, and how it is set right again: everything that the seed decides. */
import type { AgentNode } from './agent-node.ts';
import BetterSqlite3 from 'better-sqlite3';
import type { CoordinatorNode } from './coordinator-node.ts';
import type { Dice } from './dice.ts';
import type { Link, Network } from './network.ts';
import { instanceId } from '../../agent/src/provisioners/instance-id.ts';
import type { MemoryFault, MemoryOperation } from '../../agent/src/provisioners/memory/memory-backend.ts';
import type { WatchedBackend } from './watched-backend.ts';
import type { World } from './world.ts';

/** Everything that can be troubled. */
export interface Scene {
  readonly world: World;
  readonly network: Network;
  readonly coordinator: CoordinatorNode;
  readonly agents: readonly AgentNode[];
  readonly links: readonly Link[];
  /** Starts a second process with the key and the disk of an agent. */
  readonly startTwin: (agent: AgentNode) => void;
}

const MINUTE_MS = 60_000;
const OPERATIONS: readonly MemoryOperation[] = [
  'fingerprint',
  'create',
  'create',
  'inspect',
  'destroy',
  'destroy',
  'list',
  'list',
];

export class Trouble {
  readonly #scene: Scene;
  readonly #dice: Dice;
  /** Each kind with how often it comes, compared with the others; a seed leaves some out. */
  readonly #kinds: readonly (readonly [weight: number, strike: () => void])[];

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#dice = scene.world.dice.fork('trouble');
    const all: readonly (readonly [number, () => void])[] = [
      [5, () => this.#crashAgent()],
      [6, () => this.#crashAgentWriting()],
      [3, () => this.#crashCoordinator()],
      [4, () => this.#partition()],
      [3, () => this.#setClockWrong()],
      [2, () => this.#failWrites()],
      [1, () => this.#holdDatabase()],
      [12, () => this.#troubleBackend()],
      [4, () => this.#takeBackendAway()],
      [4, () => this.#loseBackendWhileMaking()],
      [3, () => this.#silenceSsh()],
      [3, () => this.#stopForAWhile()],
      [0.6, () => this.#putOldDisk()],
      [0.3, () => this.#addTwin()],
    ];
    this.#kinds = all.filter(() => this.#dice.chance(0.75));
  }

  /** Strikes again and again until `untilMs`. */
  plan(untilMs: number): void {
    const { time } = this.#scene.world;
    const total = this.#kinds.reduce((sum, [weight]) => sum + weight, 0);
    const everyMs = this.#dice.between(2_000, 15_000);
    for (let at = 1_000; at < untilMs; at += this.#dice.between(0, 2 * everyMs)) {
      time.schedule(at, () => {
        let left = this.#dice.between(0, total);
        this.#kinds.find(([weight]) => (left -= weight) < 0)?.[1]();
      });
    }
    for (const agent of this.#scene.agents) {
      agent.onCrash = () => this.#startLater(agent);
      time.schedule(this.#dice.between(20_000, untilMs), () => agent.backUp());
    }
  }

  /** Puts something at the backends that looks like the contract's instance and is not ours. */
  putForeign(contractId: string): void {
    if (!this.#dice.chance(0.06)) return;
    const { world, agents } = this.#scene;
    const { backend } = this.#dice.pick(agents).parts;
    world.fault('foreign object', backend.name, contractId);
    const token = 'somebody else';
    const id = instanceId(contractId, token);
    const power = this.#dice.pick(['running', 'stopped'] as const);
    const seal = this.#dice.chance(0.7) ? null : `dc1.${contractId}.simulation.${'A'.repeat(43)}`;
    backend.putForeign({ id, seal, contractId, token, port: backend.takePort(), spec: {}, power });
  }

  /** The operator looks after agents that ended themselves. */
  operate(): void {
    for (const agent of this.#scene.agents) {
      agent.confirmReleases();
      if (agent.isRunning || agent.ended === null) continue;
      agent.swapDisks();
      if (!agent.isGivenUp) void agent.start();
    }
  }

  /** Everything works from now on. Resolves when all processes run. */
  async end(): Promise<void> {
    const { world, network, coordinator, agents, links } = this.#scene;
    world.isFaulty = false;
    world.note('world', 'the faults have stopped');
    network.faultPercent = 0;
    for (const link of links) link.mend();
    coordinator.failingWritesPercent = 0;
    coordinator.clock.aheadMs = 0;
    if (coordinator.life === null) await coordinator.start();
    for (const agent of agents) {
      agent.crashAfterWrites = null;
      agent.failingWritesPercent = 0;
      agent.sshAnswers = true;
      agent.parts.backend.isAway = false;
      agent.parts.backend.onceMade = null;
      agent.setClock(0);
      for (const operation of OPERATIONS) while (agent.parts.backend.takeFault(operation) !== undefined);
      if (!agent.isGivenUp) void agent.start();
    }
  }

  #crashAgent(): void {
    const agent = this.#agent();
    agent.crash();
    this.#startLater(agent);
  }

  #crashAgentWriting(): void {
    this.#agent().crashAfterWrites = this.#dice.whole(1, 12);
  }

  #crashCoordinator(): void {
    const { world, coordinator } = this.#scene;
    if (coordinator.life === null) return;
    coordinator.crash();
    const downMs = this.#dice.chance(0.8)
      ? this.#dice.between(200, 10_000)
      : this.#dice.between(0, MINUTE_MS);
    world.time.schedule(downMs, () => {
      if (coordinator.life === null) void coordinator.start();
    });
  }

  #partition(): void {
    const { world, links } = this.#scene;
    const link = this.#dice.pick(links);
    if (link.isCut) return;
    world.fault('partition', link.name);
    link.cut();
    world.time.schedule(this.#dice.between(2_000, 1.5 * MINUTE_MS), () => {
      link.mend();
      world.note(link.name, 'is reached again');
    });
  }

  #setClockWrong(): void {
    const { world, coordinator } = this.#scene;
    const isCoordinator = this.#dice.chance(0.3);
    const far = this.#dice.chance(0.3) ? 10 * MINUTE_MS : 20_000;
    const aheadMs = Math.round(this.#dice.between(-far, far));
    const agent = this.#agent();
    world.fault('clock set', isCoordinator ? 'coordinator' : agent.name, `${String(aheadMs)} ms ahead`);
    if (isCoordinator) coordinator.clock.aheadMs = aheadMs;
    else agent.setClock(aheadMs);
  }

  #failWrites(): void {
    const { world, coordinator } = this.#scene;
    const node: { failingWritesPercent: number } = this.#dice.chance(0.5) ? coordinator : this.#agent();
    node.failingWritesPercent = this.#dice.between(10, 60);
    world.time.schedule(this.#dice.between(1_000, 20_000), () => void (node.failingWritesPercent = 0));
  }

  /** Another program holds the coordinator's database: short, because each look at the lock takes real time. */
  #holdDatabase(): void {
    const { world, coordinator } = this.#scene;
    world.fault('database held', 'coordinator');
    const other = new BetterSqlite3(coordinator.config.databaseFile, { timeout: 0 });
    try {
      other.exec('begin immediate');
    } catch {
      other.close(); // Held by somebody else already: as good.
      return;
    }
    world.time.schedule(this.#dice.between(1, 30), () => other.close());
  }

  #troubleBackend(): void {
    const { backend } = this.#agent().parts;
    const on = this.#dice.pick(OPERATIONS);
    const what = this.#dice.pick(['error', 'done_but_failed', 'reply_lost', 'late', 'incomplete'] as const);
    let fault: MemoryFault;
    if (what === 'late') fault = { on, what, delayMs: this.#dice.between(100, 40_000) };
    else if (what === 'incomplete') fault = { on: 'list', what };
    else fault = { on, what };
    this.#scene.world.fault(`backend ${what}`, backend.name, fault.on);
    for (let times = this.#dice.whole(1, 3); times > 0; times -= 1) backend.inject(fault);
  }

  #takeBackendAway(): void {
    this.#goAway(this.#agent().parts.backend, 'backend away');
  }

  /** It makes an instance, and is gone before it can say so. */
  #loseBackendWhileMaking(): void {
    const { backend } = this.#agent().parts;
    backend.inject({ on: 'create', what: 'reply_lost' });
    backend.onceMade = () => this.#goAway(backend, 'backend away after making');
  }

  #goAway(backend: WatchedBackend, kind: string): void {
    const { world } = this.#scene;
    world.fault(kind, backend.name);
    backend.isAway = true;
    world.time.schedule(this.#dice.between(2_000, 40_000), () => void (backend.isAway = false));
  }

  #silenceSsh(): void {
    const { world } = this.#scene;
    const agent = this.#agent();
    world.fault('ssh silent', agent.name);
    agent.sshAnswers = false;
    world.time.schedule(this.#dice.between(1_000, MINUTE_MS), () => void (agent.sshAnswers = true));
  }

  #stopForAWhile(): void {
    const agent = this.#agent();
    void agent.stop();
    this.#startLater(agent);
  }

  #putOldDisk(): void {
    const agent = this.#agent();
    agent.crash('machine dies');
    agent.putOldDisk();
    this.#startLater(agent);
  }

  #addTwin(): void {
    const agent = this.#agent();
    this.#scene.world.fault('second daemon', agent.name);
    this.#scene.startTwin(agent);
  }

  #startLater(agent: AgentNode): void {
    const { world } = this.#scene;
    const downMs = this.#dice.chance(0.7)
      ? this.#dice.between(100, 8_000)
      : this.#dice.between(0, 2 * MINUTE_MS);
    world.time.schedule(downMs, () => void agent.start());
  }

  #agent(): AgentNode {
    return this.#dice.pick(this.#scene.agents);
  }
}
