/**
 * The coordinator of a simulation: the real application over a real database file, asked in process. A crash drops it
 * as it is; a start opens the file again. An older backup can be put in its place.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CoordinatorConfig } from '../../coordinator/src/config/config.ts';
import { createLog } from '../../coordinator/src/lib/log.ts';
import { testConfig } from '../../coordinator/src/testing/test-config.ts';
import type { PaymentProvider } from '../../coordinator/src/payments/payment-provider.ts';
import { createCoordinator, openMigrated, type Coordinator } from '../../coordinator/src/wiring.ts';
import { AppError, isAppError } from '@dc/shared/errors';
import { PUBLIC_URL, type SimulatedRequest } from './signed-calls.ts';
import { NodeClock } from './virtual-time.ts';
import type { World } from './world.ts';

/** What came back over the network. */
export interface SimulatedAnswer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

/** Short enough that deadlines are met within one simulation. */
const CONFIG: Partial<CoordinatorConfig> = {
  environment: 'simulation',
  publicUrl: PUBLIC_URL,
  payments: { test: false },
  agents: { heartbeatIntervalMs: 10_000, offlineAfterMs: 40_000, leaseTtlMs: 20_000 },
  contracts: {
    requestTimeoutMs: 120_000,
    acceptTimeoutMs: 120_000,
    provisionTimeoutMs: 240_000,
    verifyTimeoutMs: 20_000,
  },
};

const SUPERVISOR_MS = 2_000;

/** A database that has just been migrated: the migrations run once in a process, not once in each world. */
let migrated: Buffer | null = null;

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export class CoordinatorNode {
  readonly #world: World;
  readonly #payment: PaymentProvider;
  readonly config: CoordinatorConfig;
  #life: Coordinator | null = null;
  #clock: NodeClock;
  #lives = 0;
  #isStarting = false;
  readonly #streams = new Set<() => void>();
  /** Whether the last life has let go of its files. */
  #isClosed = true;
  #backups = 0;
  /** How many of a hundred writes fail, as on a disk that is full. */
  failingWritesPercent = 0;
  /** Grows with every change of the database. */
  commits = 0;

  constructor(world: World, payment: PaymentProvider) {
    this.#world = world;
    this.#payment = payment;
    this.config = testConfig(world.folder, CONFIG);
    this.#clock = new NodeClock(world.time);
  }

  get life(): Coordinator | null {
    return this.#life;
  }

  get clock(): NodeClock {
    return this.#clock;
  }

  /** Starts it on the database that is there; again and again, as a supervisor does, where it does not come up. */
  async start(): Promise<void> {
    if (this.#isStarting || this.#life !== null) return;
    this.#isStarting = true;
    try {
      await this.#startOnce();
    } catch (error) {
      if (!isAppError(error)) throw error;
      this.#world.note('coordinator', `does not start: ${error.code}`);
      this.#clock.kill();
      this.#world.time.schedule(SUPERVISOR_MS, () => void this.start());
    } finally {
      this.#isStarting = false;
    }
  }

  async #startOnce(): Promise<void> {
    this.#lives += 1;
    const { aheadMs } = this.#clock;
    this.#clock = new NodeClock(this.#world.time, aheadMs);
    const name = `coordinator ${String(this.#lives)}`;
    const random = this.#world.dice.fork(name);
    const log = createLog('error', { write: (line) => this.#onError(line) });
    if (this.#lives === 1)
      await this.#makeDatabase({ clock: this.#clock, random: random.fork('migrations'), log });
    const life = await createCoordinator(this.config, {
      clock: this.#clock,
      random,
      log,
      version: '0.0.0-simulation',
      payments: [this.#payment],
      checksAnswers: true,
    });
    this.commits += 1;
    this.#watchWrites(life);
    await life.app.ready();
    await life.startWork();
    this.#life = life;
    this.#world.note('coordinator', 'starts');
  }

  async #makeDatabase(parts: Parameters<typeof openMigrated>[1]): Promise<void> {
    const { databaseFile } = this.config;
    if (migrated !== null) {
      mkdirSync(dirname(databaseFile), { recursive: true, mode: 0o700 });
      writeFileSync(databaseFile, migrated, { mode: 0o600 });
      return;
    }
    const { db } = await openMigrated(this.config, parts);
    await db.close();
    migrated = readFileSync(databaseFile);
  }

  /** Ends it between two instructions: nothing that it has not written is left. */
  crash(): void {
    const life = this.#life;
    if (life === null) return;
    this.#world.fault('coordinator crash', 'coordinator');
    this.#life = null;
    this.#clock.kill();
    for (const breakOff of [...this.#streams]) breakOff();
    this.#streams.clear();
    // Only lets go of the file: what was not committed is lost with or without it.
    this.#isClosed = false;
    void life.context.db.close().then(() => (this.#isClosed = true));
  }

  /** Copies the database as it is now, and the mark beside the key. Returns the backup's folder. */
  backUp(): string {
    const folder = join(this.#world.folder, `coordinator-backup-${String((this.#backups += 1))}`);
    mkdirSync(folder, { mode: 0o700 });
    this.#world.note('coordinator', 'is backed up');
    for (const file of this.#files()) if (existsSync(file)) copyFileSync(file, join(folder, basename(file)));
    return folder;
  }

  /** Puts a backup in the place of the database of a coordinator that is down. False while its files are in use. */
  restore(folder: string, options: { readonly withMark: boolean }): boolean {
    if (this.#life !== null || this.#isStarting || !this.#isClosed) return false;
    const { databaseFile } = this.config;
    this.#world.fault(options.withMark ? 'old backup with its mark' : 'old backup', 'coordinator');
    const [mark, ...database] = this.#files();
    for (const file of [`${databaseFile}-shm`, ...database]) rmSync(file, { force: true });
    for (const file of options.withMark ? [mark ?? '', ...database] : database) {
      const copy = join(folder, basename(file));
      if (existsSync(copy)) copyFileSync(copy, file);
    }
    return true;
  }

  #files(): string[] {
    const { databaseFile, keyFile } = this.config;
    return [`${keyFile}.mark`, databaseFile, `${databaseFile}-wal`];
  }

  /** Answers a request that arrived. Never settles where it crashes meanwhile. */
  async answer(request: SimulatedRequest): Promise<SimulatedAnswer> {
    const life = this.#life;
    if (life === null) throw new AppError('COORDINATOR_UNREACHABLE', 'Nobody listens there.');
    for (const secret of this.#world.secrets)
      if (request.payload?.includes(secret) === true)
        this.#world.violate('I14', `${request.url} carries a password in plain text`);
    const response = await life.app.inject(request);
    if (life !== this.#life) return never();
    const { statusCode: status, payload: text } = response;
    if (status === 500) this.#world.violate('bug', `${request.method} ${request.url} answered ${text}`);
    return { status, text, retryAfter: response.headers['retry-after'] };
  }

  /** Does something inside, as a webhook does. Never settles where it crashes meanwhile. */
  async within<T>(work: (life: Coordinator) => Promise<T>): Promise<T> {
    const life = this.#life;
    if (life === null) throw new AppError('COORDINATOR_UNREACHABLE', 'Nobody listens there.');
    const result = await work(life);
    return life === this.#life ? result : never();
  }

  /** Listens to the nudges of a pool; `onBreak` is called when the coordinator goes away. */
  listen(poolId: string, onNudge: () => void, onBreak: () => void): () => void {
    if (this.#life === null) {
      onBreak();
      return () => undefined;
    }
    const stop = this.#life.context.signals.listen('pool', poolId, onNudge);
    this.#streams.add(onBreak);
    return () => {
      stop();
      this.#streams.delete(onBreak);
    };
  }

  /** Counts those that are done, and lets some fail. */
  #watchWrites({ context: { db } }: Coordinator): void {
    const dice = this.#world.dice.fork(`writes ${String(this.#lives)}`);
    const write = db.write.bind(db);
    db.write = (job) => {
      if (dice.chance(this.failingWritesPercent / 100)) {
        this.#world.fault('coordinator write fails', 'coordinator');
        return Promise.reject(new AppError('DATABASE_FULL'));
      }
      const done = write(job);
      done.then(
        () => (this.commits += 1),
        () => undefined, // Its caller hears of it; nothing has changed.
      );
      return done;
    };
  }

  /** Only what nobody planted is worth a line. */
  #onError(line: string): void {
    const { msg, err, code } = JSON.parse(line) as { msg: string; code?: string; err?: { message?: string } };
    this.#world.note('coordinator', `logs ${msg}: ${code ?? ''} ${err?.message ?? ''}`);
  }
}
