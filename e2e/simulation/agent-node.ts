/**
 * An agent of a simulation: the real one, on a disk that outlives its crashes. A crash leaves the journal as it was on
 * the disk at that moment, the last write torn where it was under way; a start goes on from there.
 */
import { existsSync, statSync, truncateSync } from 'node:fs';
import BetterSqlite3 from 'better-sqlite3';
import { Secret } from '../../agent/src/config/key-files.ts';
import type { AvailabilityChange } from '../../agent/src/availability/availability.ts';
import type { Config } from '../../agent/src/config/config-schema.ts';
import { journalFile } from '../../agent/src/config/paths.ts';
import { SILENT, type Log } from '../../agent/src/lib/log.ts';
import { MemoryProvisioner } from '../../agent/src/provisioners/memory/memory-provisioner.ts';
import type { CreateRequest } from '../../agent/src/provisioners/provisioner.ts';
import { createAgent, type Agent } from '../../agent/src/wiring.ts';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError, isAppError } from '@dc/shared/errors';
import type { CoordinatorNode } from './coordinator-node.ts';
import type { Dice } from './dice.ts';
import { Disks, disksOf } from './disks.ts';
import { simulatedSsh } from './simulated-ssh.ts';
import type { Link, Network } from './network.ts';
import { plantInProvisioner, plantInWire } from './planted-bugs.ts';
import { PUBLIC_URL } from './signed-calls.ts';
import { SimulatedWire, type OnLease } from './simulated-wire.ts';
import { SlowProvisioner } from './slow-provisioner.ts';
import { NodeClock } from './virtual-time.ts';
import type { WatchedBackend } from './watched-backend.ts';
import type { World } from './world.ts';

/** The process is gone: whatever it still tries fails with this. */
class Crashed extends Error {}

export interface AgentNodeParts {
  readonly world: World;
  readonly name: string;
  readonly key: SigningKey;
  readonly sealSecret: Uint8Array;
  readonly providerKey: string;
  readonly poolId: string;
  readonly coordinatorKey: string;
  readonly environment: string;
  readonly backend: WatchedBackend;
  /** Where its breaker is set. */
  readonly destructionsPerHour: number;
  readonly link: Link;
  readonly network: Network;
  readonly coordinator: CoordinatorNode;
  /** Called when it has signed that the instance of a contract is gone. */
  readonly onGone: (contractId: string, backend: WatchedBackend) => void;
}

const SWAPS_MAX = 3;

/** One run of the process. */
interface Life {
  readonly agent: Agent;
  readonly clock: NodeClock;
  readonly stateDir: string;
  isAlive: boolean;
  /** Looks into the journal while it runs. */
  reader: BetterSqlite3.Database | null;
}

export class AgentNode {
  readonly parts: AgentNodeParts;
  readonly #dice: Dice;
  readonly #disks: Disks;
  #life: Life | null = null;
  #aheadMs = 0;
  /** Until when each contract's lease lasts at the most, by the time that is right. */
  readonly #leases = new Map<string, number>();
  /** The contract of each order. */
  readonly #orders = new Map<string, string>();
  /** Crashes at this many writes of the journal from now; null for none planned. */
  crashAfterWrites: number | null = null;
  /** How many of a hundred writes of the journal fail. */
  failingWritesPercent = 0;
  /** Whether the SSH servers of its instances answer. */
  sshAnswers = true;
  /** Why it ended itself; null where it did not. */
  ended: string | null = null;
  /** Told when a crash in the middle of a write has ended the process. */
  onCrash: () => void = () => undefined;
  /** What the operator wants of it; `keepAvailability` tells it. */
  wish: AvailabilityChange = {};
  #swaps = 0;
  /** Only a person can help it now: the coordinator holds a chain that none of its disks has. */
  isGivenUp = false;
  /** Whether the breaker was asked since somebody looked whether something waits. */
  #mayWait = true;
  #walBytes = 0;
  #writes = 0;
  /** The disk as it was a few writes ago: for the planted bug. */
  #lateDisk: string | null = null;

  constructor(parts: AgentNodeParts) {
    this.parts = parts;
    this.#dice = parts.world.dice.fork(parts.name);
    this.#disks = new Disks(disksOf(parts.world.folder, parts.name), this.#dice);
  }

  get name(): string {
    return this.parts.name;
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  /** The file of the journal as it is now. */
  get journal(): string {
    return journalFile(this.#life?.stateDir ?? this.#disks.current);
  }

  get clock(): NodeClock | null {
    return this.#life?.clock ?? null;
  }

  /** Sets the wall clock wrong, or right. */
  setClock(aheadMs: number): void {
    this.#aheadMs = aheadMs;
    if (this.#life !== null) this.#life.clock.aheadMs = aheadMs;
  }

  async start(): Promise<void> {
    if (this.#life !== null) return;
    const { world } = this.parts;
    const clock = new NodeClock(world.time, this.#aheadMs);
    this.ended = null;
    this.#mayWait = true;
    const life: Life = {
      agent: this.#make(clock, () => life),
      clock,
      stateDir: this.#disks.current,
      isAlive: true,
      reader: null,
    };
    this.#life = life;
    world.note(this.name, 'starts');
    void life.agent.failure.then((error) => this.#onFailure(life, error));
    try {
      await life.agent.start();
    } catch (error) {
      this.#onFailure(life, error);
    }
  }

  /** Ends the process where it is. Its disk is kept. */
  crash(kind = 'agent crash'): void {
    const life = this.#life;
    if (life === null) return;
    this.parts.world.fault(kind, this.name);
    this.#end(life, this.#disks.copy(life.stateDir));
  }

  /** Stops in good order, as for an upgrade. */
  async stop(): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    this.parts.world.note(this.name, 'is stopped');
    this.#life = null;
    await life.agent.stop();
    life.isAlive = false;
    life.reader?.close();
    this.#disks.current = this.#disks.copy(life.stateDir);
  }

  /** The operator lets go what the breaker holds back. */
  confirmReleases(): void {
    const life = this.#life;
    if (!this.#mayWait || life?.agent.status().phase !== 'running') return;
    const sql = 'select saga_id from releases where allowed_at is null order by asked_at, saga_id';
    const waiting = this.#look(life).prepare(sql).pluck().all() as string[];
    if (waiting.length === 0) {
      this.#mayWait = false;
      return;
    }
    this.parts.world.note(this.name, `is allowed ${String(waiting.length)} destructions`);
    try {
      life.agent.confirm(waiting);
    } catch (error) {
      if (!(error instanceof Crashed) && !isAppError(error)) throw error; // Said to the operator, who tries again.
    }
  }

  /** Keeps a copy of the disk as it is now. */
  backUp(): void {
    if (this.#life === null) return;
    this.parts.world.note(this.name, 'disk is backed up');
    this.#disks.backUp(this.#life.stateDir);
  }

  /** Puts an old disk into the machine, which is off; the one that was in it is kept beside it. */
  putOldDisk(): void {
    if (this.#life === null && this.#disks.spare === null && this.#disks.putOld())
      this.parts.world.fault('old disk', this.name);
  }

  /** The disk of a second process with our key, which has been stopped. */
  keepSpare(other: AgentNode): void {
    if (this.#disks.spare !== null) return;
    this.#disks.spare = other.cloneDisk();
    this.#learnLeases(other);
  }

  /** What an operator tries where the agent ended itself: the other disk. Neither may be good: then they give up. */
  swapDisks(): void {
    if (this.#swaps >= SWAPS_MAX || !this.#disks.swap()) {
      this.isGivenUp = true;
      return;
    }
    this.#swaps += 1;
    this.parts.world.note(this.name, 'gets its other disk');
  }

  /** A folder with what is on the disk now, for another machine. */
  cloneDisk(): string {
    return this.#disks.copy(this.#life?.stateDir ?? this.#disks.current);
  }

  /** Takes over what another machine has on its disk, with the leases that are in it. */
  takeOver(other: AgentNode): void {
    this.#disks.current = other.cloneDisk();
    this.#learnLeases(other);
  }

  /** The operator drains it or brings it back, with `dc-agent drain` and `dc-agent maintenance`. */
  keepAvailability(): void {
    if (this.#life?.agent.status().phase !== 'running' || Object.keys(this.wish).length === 0) return;
    try {
      if (this.#life.agent.changeAvailability(this.wish) > 0)
        this.parts.world.note(this.name, `is told ${JSON.stringify(this.wish)}`);
    } catch (error) {
      if (!(error instanceof Crashed) && !isAppError(error)) throw error; // Said to the operator, who tries again.
    }
  }

  #learnLeases(other: AgentNode): void {
    for (const [contractId, until] of other.#leases) this.#leases.set(contractId, until);
    for (const [orderId, contractId] of other.#orders) this.#orders.set(orderId, contractId);
  }

  #make(clock: NodeClock, lifeOf: () => Life): Agent {
    const { world, name, key, sealSecret, backend } = this.parts;
    const isAlive = (): boolean => lifeOf().isAlive;
    const random = world.dice.fork(`${name} ${String(this.#disks.count)}`);
    const slow = new SlowProvisioner({
      inner: plantInProvisioner(
        world.bug,
        new MemoryProvisioner({ backend, clock: new NodeClock(world.time), sealSecret }),
        backend,
      ),
      time: world.time,
      dice: random.fork('backend'),
      isAlive,
      onCreate: (request) => this.#checkLease(request),
    });
    const onLease: OnLease = (lease) => {
      const contractId = lease.contractId ?? this.#orders.get(lease.orderId);
      if (contractId === undefined) return;
      this.#orders.set(lease.orderId, contractId);
      this.#leases.set(contractId, lease.askedAtMs + lease.ttlMs);
    };
    const wire = new SimulatedWire({ ...this.parts, clock, random, onLease });
    return createAgent(this.#config(), {
      clock,
      random,
      log: this.#log(isAlive),
      keys: { agentKey: key, sealSecret: new Secret(sealSecret) },
      provisioner: slow,
      coordinator: plantInWire(world.bug, wire),
      ...simulatedSsh({ ...this.parts, answers: () => this.sshAnswers }),
      onWrite: (label, moment) => this.#onWrite(lifeOf(), label, moment),
    });
  }

  #config(): Config {
    const { coordinatorKey, environment, providerKey, poolId, destructionsPerHour } = this.parts;
    return {
      coordinator: { url: PUBLIC_URL, publicKeys: [coordinatorKey] },
      environment,
      providerKey,
      poolId,
      stateDir: this.#disks.current,
      keyDir: '/nonexistent',
      provisioner: { kind: 'memory', options: {} },
      limits: {
        parallel: 3,
        drainMs: 10_000,
        sshTimeoutMs: 30_000,
        diskFreeBytes: 0,
        destructionsPerHour,
        historyMs: 90 * 86_400_000,
      },
      logLevel: 'info',
    };
  }

  /** I8: an agent begins nothing without a lease. */
  #checkLease({ contractId }: CreateRequest): void {
    const { world } = this.parts;
    world.note(this.name, `asks for the instance of ${contractId}`);
    const until = this.#leases.get(contractId) ?? -Infinity;
    if (world.time.now > until) {
      world.violate(
        'I8',
        `${this.name} builds for ${contractId} with a lease that ran out at ${String(until)}`,
      );
    }
  }

  #onWrite(life: Life, label: string, moment: 'before' | 'after'): void {
    if (!life.isAlive) throw new Crashed();
    const { world } = this.parts;
    const wal = `${journalFile(life.stateDir)}-wal`;
    if (moment === 'before') {
      if (world.bug === 'writes_late' && (this.#writes += 1) % 8 === 0)
        this.#lateDisk = this.#disks.copy(life.stateDir);
      if (this.crashAfterWrites !== null) this.#walBytes = existsSync(wal) ? statSync(wal).size : 0;
      if (!this.#dice.chance(this.failingWritesPercent / 100)) return;
      world.fault('journal write fails', this.name, label);
      throw new AppError('DATABASE_FULL');
    }
    if (label.endsWith('.asked')) this.#mayWait = true;
    if (label === 'release-instance.destroyed')
      this.parts.onGone(lastReported(this.#look(life)), this.parts.backend);
    if (this.crashAfterWrites === null) return;
    this.crashAfterWrites -= 1;
    if (this.crashAfterWrites > 0) return;
    this.crashAfterWrites = null;
    const disk = this.#disks.copy(life.stateDir);
    const copy = `${journalFile(disk)}-wal`;
    const bytes = statSync(wal).size;
    // Nobody has acted on the write yet, so that it may be on the disk, in part or not at all.
    if (bytes > this.#walBytes && this.#dice.chance(0.7)) {
      world.fault('torn write', this.name, label);
      truncateSync(copy, this.#dice.whole(this.#walBytes, bytes - 1));
    } else world.fault('crash after a write', this.name, label);
    this.#end(life, disk);
    this.onCrash();
    throw new Crashed();
  }

  #look(life: Life): BetterSqlite3.Database {
    life.reader ??= new BetterSqlite3(journalFile(life.stateDir), { readonly: true });
    return life.reader;
  }

  #end(life: Life, disk: string): void {
    life.isAlive = false;
    life.reader?.close();
    life.clock.kill();
    this.#life = null;
    this.#disks.current = this.#lateDisk ?? disk;
    this.#lateDisk = null;
    // Closes its files; everything else that it tries fails, since it is not alive.
    this.parts.world.time.schedule(0, () => void life.agent.stop().catch(() => undefined));
  }

  #onFailure(life: Life, error: unknown): void {
    if (!life.isAlive) return;
    const { world } = this.parts;
    if (!isAppError(error)) {
      world.violate(
        'bug',
        `${this.name} ended with ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
      );
    }
    this.ended = isAppError(error) ? error.code : 'bug';
    world.note(this.name, `ends itself: ${this.ended}`);
    this.#end(life, this.#disks.copy(life.stateDir));
  }

  #log(isAlive: () => boolean): Log {
    const line = (fields: object, message: string): void => {
      if (!isAlive()) return;
      const { code, contract_id: contract } = fields as { code?: string; contract_id?: string };
      this.parts.world.note(this.name, `logs ${message} ${code ?? ''} ${contract ?? ''}`.trimEnd());
    };
    return { ...SILENT, warn: line, error: line };
  }
}

/** The contract of the record that was signed last. */
function lastReported(journal: BetterSqlite3.Database): string {
  const sql = 'select contract_id from records order by record_id desc limit 1';
  return journal.prepare(sql).pluck().get() as string;
}
