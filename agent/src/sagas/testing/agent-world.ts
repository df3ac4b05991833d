/**
 * An agent's world in memory, for tests of sagas: a backend, a journal in a file, virtual time, and lives of the
 * agent's process that begin, crash at any chosen moment, and begin again from what was on disk at that moment.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { makeSeal } from '@dc/shared/seal';
import type { Journal, JournalOrder, Lease } from '../../journal/journal.ts';
import { openJournal } from '../../journal/open-journal.ts';
import { DestructionBreaker } from '../../breaker/destruction-breaker.ts';
import { AGENT_KEY, aLease, ENVIRONMENT } from '../../journal/testing/builders.ts';
import { MemoryBackend } from '../../provisioners/memory/memory-backend.ts';
import { MemoryProvisioner } from '../../provisioners/memory/memory-provisioner.ts';
import type { Existence, Provisioner, SshAccess } from '../../provisioners/provisioner.ts';
import { AppError } from '@dc/shared/errors';
import type { LoginProbe, PasswordAnswer } from '../../guest-access/login-probe.ts';
import { ContractRunner } from '../../reconcile/contract-runner.ts';
import type { Observed } from '../../reconcile/plan-steps.ts';
import { ManualClock, settle } from '@dc/shared/testing/manual-clock';
import { seededRandom } from '../../testing/seeded-random.ts';
import { allSagas } from '../all-sagas.ts';
import { SagaEngine } from '../run-saga.ts';
import type { SagaDefinition, SagaLog } from '../saga.ts';
import type { ProbeSsh } from '../saga-parts.ts';
import { readRecords } from './read-records.ts';

/** The process is gone. Everything that it still tries fails with this. */
export class Crash extends Error {}

/** A log line that a test can look at. */
export interface LogLine {
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface WorldOptions {
  /** Changes the sagas, to run steps twice or to make them fail. */
  readonly wrap?: (definition: SagaDefinition) => SagaDefinition;
  readonly slots?: number;
  readonly instancesMax?: number;
}

type Moment = (label: string) => void;

/** One agent machine with its backend. */
export class AgentWorld {
  readonly clock = new ManualClock();
  readonly backend: MemoryBackend;
  readonly sealSecret = new Uint8Array(32).fill(9);
  readonly logged: LogLine[] = [];
  readonly options: WorldOptions;
  /** Changes the sagas of lives that start from now on. */
  wrap: NonNullable<WorldOptions['wrap']>;
  readonly #folder: string;
  #path: string;
  #lives: Life[] = [];
  /** Whether the SSH servers of the instances answer. */
  sshAnswers = true;
  /** The host key fingerprint that they show; null for each one's own. */
  answersWith: string | null = null;
  /** What every login with a password comes to; null for what it should. */
  passwordAnswer: PasswordAnswer | null = null;
  /** How many instances releases may destroy within an hour, for lives that start from now on. */
  destructionsPerHour = 3;
  /** Called before a probe, to make something happen during the wait. */
  onProbe: () => void = () => undefined;

  constructor(folder: string, options: WorldOptions = {}) {
    this.options = options;
    this.wrap = options.wrap ?? ((definition) => definition);
    this.backend = new MemoryBackend(options.instancesMax);
    this.#folder = folder;
    this.#path = join(folder, 'journal-0.db');
  }

  /**
   * Starts the process. It crashes at moment number `crashAt` (counted from 1): before or after a commit, or
   * before or after an outside call.
   */
  start(crashAt = Infinity): Life {
    const life = new Life(this, this.#path, crashAt);
    this.#lives.push(life);
    return life;
  }

  /** What kill -9 leaves: a copy of the journal's files as they are now. The next life starts from it. */
  keepFiles(): void {
    const copy = join(this.#folder, `journal-${String(this.#lives.length)}.db`);
    for (const end of ['', '-wal']) {
      if (existsSync(this.#path + end)) copyFileSync(this.#path + end, copy + end);
    }
    this.#path = copy;
  }

  sealFor(contractId: string): string {
    return makeSeal(this.sealSecret, { contractId, environment: ENVIRONMENT });
  }

  /** How many of the contract's instances are at the backend. */
  instancesOf(contractId: string): number {
    const seal = this.sealFor(contractId);
    return [...this.backend.objects.values()].filter((object) => object.seal === seal).length;
  }

  async close(): Promise<void> {
    for (const life of this.#lives) await life.end();
  }
}

/** One run of the agent's process. */
export class Life {
  readonly #world: AgentWorld;
  readonly journal: Journal;
  readonly engine: SagaEngine;
  readonly runner: ContractRunner;
  readonly provisioner: Provisioner;
  readonly #observed = new Map<string, Observed>();
  /** Every moment at which this life could have crashed, in order. */
  readonly moments: string[] = [];
  /** Labels of the journal's commits. */
  readonly commits: string[] = [];
  #isDead = false;
  outboxCalls = 0;
  /** What every write fails with; null for writes that work. */
  writeError: Error | null = null;

  constructor(world: AgentWorld, path: string, crashAt: number) {
    this.#world = world;
    const { clock, logged } = world;
    const random = seededRandom(`${path} ${String(crashAt)}`);
    const moment: Moment = (label) => {
      if (this.#isDead) throw new Crash(label);
      this.moments.push(label);
      if (this.moments.length < crashAt) return;
      this.#isDead = true;
      world.keepFiles();
      throw new Crash(label);
    };
    this.journal = openJournal(path, {
      random,
      onWrite: (label, when) => {
        if (this.writeError !== null) throw this.writeError;
        if (when === 'after') this.commits.push(label);
        moment(`${when} commit ${label}`);
      },
    });
    const log: SagaLog = {
      info: (fields, message) => void logged.push({ fields: fields as LogLine['fields'], message }),
      warn: (fields, message) => void logged.push({ fields: fields as LogLine['fields'], message }),
      error: (fields, message) => void logged.push({ fields: fields as LogLine['fields'], message }),
    };
    const { backend, sealSecret } = world;
    this.provisioner = crashing(new MemoryProvisioner({ backend, clock, sealSecret }), moment);
    const definitions = allSagas({
      provisioner: this.provisioner,
      sealFor: (contractId) => world.sealFor(contractId),
      probeSsh: probeOf(world, moment),
      loginProbe: loginProbeOf(world, moment),
      secretKey: new Uint8Array(32).fill(3),
      sshTimeoutMs: 2_000,
    });
    const onOutbox = (): void => void (this.outboxCalls += 1);
    const services = { journal: this.journal, clock, random, log, onOutbox };
    const breaker = new DestructionBreaker({
      ...services,
      destructionsPerHour: world.destructionsPerHour,
    });
    this.engine = new SagaEngine(
      { ...services, agentKey: AGENT_KEY, environment: ENVIRONMENT, mayDestroy: breaker.mayDestroy },
      definitions.map(world.wrap),
    );
    this.runner = new ContractRunner({
      ...services,
      engine: this.engine,
      slots: world.options.slots ?? 4,
      laneOf: () => 'memory',
      observed: (contractId) => this.#observed.get(contractId) ?? NOT_LOOKED,
    });
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** The coordinator's order with its lease. A crash in it is the crash of this life. */
  receive(...orders: Omit<JournalOrder, 'returned'>[]): void {
    this.#live(() => this.runner.receive(orders.map((order) => ({ order, lease: this.leaseOf(order) }))));
  }

  leaseOf(order: Omit<JournalOrder, 'returned'>, wish: Partial<Lease> = {}): Lease {
    return aLease(order, {
      grantedAt: this.#world.clock.now(),
      expiresAt: this.#world.clock.now() + 10 * 3_600_000,
      ...wish,
    });
  }

  /** What the daemon does when it starts. */
  wakeUp(): void {
    this.#live(() => this.runner.nudgeAll());
  }

  /** Looks at the backend, and plans what that changes. */
  async observe(...contractIds: string[]): Promise<void> {
    const { instances, complete } = await this.provisioner.list(new AbortController().signal);
    for (const contractId of contractIds) {
      const instance = instances.find((one) => one.contractId === contractId);
      const absent: Existence = complete
        ? { existence: 'absent', evidence: 'a complete list without it' }
        : { existence: 'unknown', reason: 'the list is not complete' };
      const existence: Existence = instance === undefined ? absent : { existence: 'present', instance };
      this.#observed.set(contractId, { existence, at: this.#world.clock.now() });
      this.runner.nudge(contractId);
    }
  }

  /** Lets time pass until nothing is at work and no timer is set, but no longer than a day. */
  async rest(): Promise<void> {
    const { clock } = this.#world;
    await settle();
    for (let seconds = 0; seconds < 86_400 && !this.#isDead; seconds += 60) {
      if (this.runner.activeCount === 0 && clock.timerCount === 0) return;
      await clock.advance(60_000);
    }
  }

  /** The records in the outbox, decoded, after their chain was checked. */
  records(): ReturnType<typeof readRecords> {
    return readRecords(this.journal);
  }

  /** The process ends: what is at work stops, and the files are closed. Idempotent. */
  async end(): Promise<void> {
    await this.runner.stop();
    this.#isDead = true;
    this.journal.close();
  }

  #live(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
  }
}

const NOT_LOOKED: Observed = { existence: { existence: 'unknown', reason: 'nobody has looked yet' }, at: 0 };

/** The provisioner with a moment before and after each call that changes or asks something. */
function crashing(provisioner: Provisioner, moment: Moment): Provisioner {
  const around =
    <Args extends unknown[], T>(label: string, call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      moment(`before ${label}`);
      const answer = await call(...args);
      moment(`after ${label}`);
      return answer;
    };
  return {
    kind: provisioner.kind,
    capabilities: provisioner.capabilities,
    fingerprint: around('fingerprint', provisioner.fingerprint.bind(provisioner)),
    create: around('create', provisioner.create.bind(provisioner)),
    inspect: around('inspect', provisioner.inspect.bind(provisioner)),
    start: around('start', provisioner.start.bind(provisioner)),
    stop: around('stop', provisioner.stop.bind(provisioner)),
    destroy: around('destroy', provisioner.destroy.bind(provisioner)),
    setPassword: around('set password', provisioner.setPassword.bind(provisioner)),
    rotateSshKey: around('rotate key', provisioner.rotateSshKey.bind(provisioner)),
    list: around('list', provisioner.list.bind(provisioner)),
    close: provisioner.close.bind(provisioner),
  };
}

/** The same servers for those who log in: with the password and the key that the backend has. */
function loginProbeOf(world: AgentWorld, moment: Moment): LoginProbe {
  const findGuest = ({ port }: SshAccess) => {
    const found = [...world.backend.objects.values()].find((object) => object.port === port);
    if (found?.power !== 'running' || !world.sshAnswers) throw new AppError('INSTANCE_UNREACHABLE');
    return found;
  };
  return {
    async tryPassword(access, password) {
      moment('before password login');
      const { login } = findGuest(access);
      moment('after password login');
      if (world.passwordAnswer !== null) return world.passwordAnswer;
      return login?.user === access.user && login.password === password ? 'accepted' : 'refused';
    },
    async tryPublicKey(access, sshPublicKey) {
      moment('before key login');
      const { spec, sshPublicKey: changed } = findGuest(access);
      moment('after key login');
      return sshPublicKey === (changed ?? spec['sshPublicKey']) ? 'accepted' : 'refused';
    },
  };
}

/** SSH servers that answer for every instance that is on, with the host key that the driver reports. */
function probeOf(world: AgentWorld, moment: Moment): ProbeSsh {
  // Looks past the faults: those are for the agent's own calls.
  const sound = new MemoryBackend();
  const provisioner = new MemoryProvisioner({
    backend: sound,
    clock: world.clock,
    sealSecret: world.sealSecret,
  });
  return async ({ port }, signal) => {
    moment('before probe');
    world.onProbe();
    sound.objects.clear();
    for (const [id, object] of world.backend.objects) sound.objects.set(id, object);
    const { instances } = await provisioner.list(signal);
    const found = instances.find((instance) => instance.ssh?.port === port && instance.power === 'running');
    moment('after probe');
    if (!world.sshAnswers || found?.ssh == null)
      return { answered: false, why: 'the connection was refused' };
    return { answered: true, hostKeyFingerprint: world.answersWith ?? found.ssh.hostKeyFingerprint };
  };
}
