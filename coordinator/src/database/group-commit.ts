/**
 * The writer: jobs that arrive together run in one transaction, so that one flush to the disk serves them all. Each
 * has a savepoint of its own, and is answered after the commit. See docs/decisions/database-group-commit.md.
 *
 * INVARIANTS:
 * - A caller hears "done" only when its changes are on the disk; a job that failed has changed nothing.
 * - A job's queries throw once it has ended: a stray one can never land in another job's savepoint.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type BetterSqlite3 from 'better-sqlite3';
import type { ConnectionProvider, DatabaseConnection } from 'kysely';
import type { BaseLogger } from 'pino';
import { sleep } from '@dc/shared/clock';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { randomFraction } from '@dc/shared/random';
import type { Random } from '@dc/shared/random';
import { nextTurn } from '../lib/system-clock.ts';
import { Transaction } from './database.ts';
import type { AfterCommit } from './database.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import { isBusy, isConstraintViolation, toCallerError } from './sqlite-errors.ts';

/** Enough that a flush costs each of them little; few enough that nobody waits long for the others. */
const BATCH_MAX = 64;
/** A few milliseconds of work: then the sockets have a turn, of which each takes in one new connection. */
const JOBS_IN_A_TURN = 16;
/** Less than a second of work on a good disk, a few on a bad one: longer in the queue helps nobody. */
const QUEUE_MAX = 10_000;
/** A job is a few queries. One that takes this long waits for something that is not the database. */
const JOB_DEADLINE_MS = 10_000;
/** After a commit the sockets get as long as its flush took, but no longer than this: a wait that nobody feels. */
const REST_MS_MAX = 5;
/** A flush that is faster than a timer needs no rest. */
const REST_MS_MIN = 1;
/** Between two attempts to get the lock, with jitter so that two processes do not keep step. */
const BUSY_PAUSE_MS_MIN = 2;
const BUSY_PAUSE_MS_MAX = 25;

export interface GroupCommitOptions {
  handle: BetterSqlite3.Database;
  connection: DatabaseConnection;
  clock: Clock;
  random: Random;
  log: Pick<BaseLogger, 'error'>;
  /** How long a batch waits in all for a lock that another process holds. */
  busyTimeoutMs: number;
}

interface PendingWrite {
  job: (trx: Transaction) => Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** What became of a job; its caller learns it after the commit. */
type Outcome = { value: unknown; afterCommit: AfterCommit[] } | { error: unknown };

/** Takes jobs and runs them in batches. */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #currentJob = new AsyncLocalStorage<JobConnections>();
  readonly #queue: PendingWrite[] = [];
  readonly #statement: (sqlText: string) => void;
  #loop: Promise<void> | null = null;
  #isClosing = false;
  /** Until when the next batch waits, on the monotonic clock. */
  #restsUntil = -Infinity;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    const prepared = new Map<string, BetterSqlite3.Statement>();
    this.#statement = (sqlText) => {
      const statement = prepared.get(sqlText) ?? options.handle.prepare(sqlText);
      prepared.set(sqlText, statement);
      statement.run();
    };
  }

  /** See `Database.write`. */
  write<T>(job: (trx: Transaction) => Promise<T>): Promise<T> {
    if (this.#currentJob.getStore()?.hasEnded === false) {
      return Promise.reject(
        new Error('a write inside a write would wait for itself: use the transaction it got'),
      );
    }
    if (this.#isClosing)
      return Promise.reject(new AppError('SERVICE_UNAVAILABLE', 'The coordinator is stopping.'));
    if (this.#queue.length >= QUEUE_MAX) {
      return Promise.reject(
        new AppError('SERVICE_UNAVAILABLE', 'Too many writes wait.', { retryAfterMs: 1000 }),
      );
    }
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ job, resolve: resolve as (value: unknown) => void, reject });
      this.#loop ??= this.#runQueue();
    });
  }

  /** Takes no more jobs; resolves when those that wait are done. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#loop;
  }

  async #runQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      // Everything that the sockets brought in this turn has been queued when the next one starts.
      await nextTurn();
      await this.#rest();
      await this.#runBatch(this.#queue.splice(0, BATCH_MAX));
    }
    this.#loop = null;
  }

  /**
   * A flush stops the event loop. Where the disk is slow, flush after flush would leave no time to read the sockets,
   * and each batch would be small because of it: after a flush they get their share.
   */
  async #rest(): Promise<void> {
    const { clock } = this.#options;
    const restMs = this.#restsUntil - clock.monotonic();
    if (restMs >= REST_MS_MIN && this.#queue.length < BATCH_MAX) await sleep(clock, restMs);
  }

  #commit(): void {
    const { clock } = this.#options;
    const begunAt = clock.monotonic();
    this.#statement('commit');
    const endedAt = clock.monotonic();
    this.#restsUntil = endedAt + Math.min(REST_MS_MAX, endedAt - begunAt);
  }

  async #runBatch(batch: PendingWrite[]): Promise<void> {
    const outcomes: Outcome[] = [];
    try {
      await this.#begin();
      for (const write of batch) {
        if (outcomes.length > 0 && outcomes.length % JOBS_IN_A_TURN === 0) await nextTurn();
        outcomes.push(await this.#runJob(write, batch.length > 1));
        // A full disk makes SQLite roll back everything, not just the statement.
        if (!this.#options.handle.inTransaction) throw errorOf(outcomes.at(-1));
      }
      if (outcomes.some((outcome) => 'value' in outcome)) this.#commit();
      else this.#statement('rollback');
    } catch (error) {
      this.#rollBack();
      if (batch.length > 1 && isConstraintViolation(error)) {
        // A deferred constraint shows at the commit and does not say whose it is: each gets its own verdict.
        for (const write of batch) await this.#runBatch([write]);
        return;
      }
      const callerError = toCallerError(error);
      for (const write of batch) write.reject(callerError);
      return;
    }
    this.#answer(batch, outcomes);
  }

  #rollBack(): void {
    if (!this.#options.handle.inTransaction) return;
    try {
      this.#statement('rollback');
    } catch (error) {
      // The queue must go on: the next batch cannot begin, says so to its callers, and comes back here.
      this.#options.log.error({ err: error }, 'a transaction could not be rolled back');
    }
  }

  /** Gets the write lock, without blocking the event loop for longer than the handle's own short busy time-out. */
  async #begin(): Promise<void> {
    const { clock, random, busyTimeoutMs } = this.#options;
    const givesUpAt = clock.monotonic() + busyTimeoutMs;
    for (;;) {
      try {
        this.#statement('begin immediate');
        return;
      } catch (error) {
        if (!isBusy(error) || clock.monotonic() >= givesUpAt) throw error;
      }
      const spreadMs = BUSY_PAUSE_MS_MAX - BUSY_PAUSE_MS_MIN;
      await sleep(clock, BUSY_PAUSE_MS_MIN + spreadMs * randomFraction(random));
    }
  }

  async #runJob(write: PendingWrite, needsSavepoint: boolean): Promise<Outcome> {
    const afterCommit: AfterCommit[] = [];
    const connections = new JobConnections(this.#options.connection);
    const trx = new Transaction(kyselyOn(connections), afterCommit);
    if (needsSavepoint) this.#statement('savepoint job');
    try {
      const value = await this.#withDeadline(this.#currentJob.run(connections, async () => write.job(trx)));
      connections.hasEnded = true;
      if (needsSavepoint) this.#statement('release job');
      return { value, afterCommit };
    } catch (error) {
      connections.hasEnded = true;
      if (needsSavepoint && this.#options.handle.inTransaction) {
        this.#statement('rollback to job');
        this.#statement('release job');
      }
      return { error: toCallerError(error) };
    }
  }

  async #withDeadline<T>(job: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const cancel = this.#options.clock.schedule(JOB_DEADLINE_MS, () => {
      late.reject(new AppError('SERVICE_UNAVAILABLE', `The write was stopped after ${JOB_DEADLINE_MS} ms.`));
    });
    try {
      return await Promise.race([job, late.promise]);
    } finally {
      cancel();
    }
  }

  #answer(batch: PendingWrite[], outcomes: Outcome[]): void {
    for (const [index, write] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined || 'error' in outcome) write.reject(errorOf(outcome));
      else write.resolve(outcome.value);
    }
    for (const outcome of outcomes) {
      if ('value' in outcome) for (const action of outcome.afterCommit) void this.#runAfterCommit(action);
    }
  }

  async #runAfterCommit(action: AfterCommit): Promise<void> {
    try {
      await action();
    } catch (error) {
      // The commit stands and its caller has been answered: nobody but the operator can be told.
      this.#options.log.error({ err: error }, 'an action after a commit failed');
    }
  }
}

/** Lets a job's queries through until it ends. */
class JobConnections implements ConnectionProvider {
  readonly #connection: DatabaseConnection;
  hasEnded = false;

  constructor(connection: DatabaseConnection) {
    this.#connection = connection;
  }

  provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    if (this.hasEnded)
      return Promise.reject(new Error('this write has ended: await every query inside its job'));
    return consumer(this.#connection);
  }
}

function errorOf(outcome: Outcome | undefined): unknown {
  return outcome !== undefined && 'error' in outcome
    ? outcome.error
    : new Error('a transaction ended too early');
}
