/**
 * Carries out what is in the outbox, and periodic jobs, which are outbox rows that never end. Leases in the database
 * make sure that any number of coordinator processes carry out each row once at a time; a crash, or an answer that got
 * lost, makes it run again, so that handlers are idempotent.
 *
 * INVARIANTS:
 * - A row runs only under a lease that this runner took; the lease is renewed while the handler runs, however long.
 * - A failed row waits in the database, not in memory; a row out of attempts needs attention and stays.
 * - A topic that is slow or stuck uses up its own places, never those of another topic.
 */
import type { BaseLogger } from 'pino';
import type { CancelTimer, Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import { randomFraction } from '@dc/shared/random';
import type { Random } from '@dc/shared/random';
import { jsonFromColumn } from '../database/columns.ts';
import type { Database } from '../database/database.ts';
import type { Job, JobEvent, JobHandler, TopicOptions } from './job.ts';
import { settlementOf } from './job-settlement.ts';
import { ensurePeriodicRow, keepLease, nextRows, settleLease, takeLease } from './outbox-leases.ts';
import type { Topic } from './outbox.ts';
import type { Lease, RowId, WaitingRow } from './outbox-leases.ts';

/** How late another process's row may start: our own wake us. Also the only cost of idling, one query each time. */
const POLL_MS = 1000;
/** Rows looked at in one query: more than the places of all topics together. */
const PAGE_ROWS = 100;
/** A runner that died leaves its rows waiting for this long. */
const LEASE_MS = 30_000;
/** Several chances to renew before the lease is no longer safe. */
const RENEW_EVERY_MS = LEASE_MS / 6;
/** From here on somebody else may be about to take the row: a handler that could not renew stops (I8). */
const UNSAFE_AFTER_MS = LEASE_MS * 0.6;
const CONCURRENCY = 8;
/** With the backoff's cap this is about a day. */
const ATTEMPTS_MAX = 150;
/** A handler has deadlines of its own for what it calls; this one is for those that forgot. */
const DEADLINE_MS = 120_000;
/** After aborting what still runs at the end of a drain, the time it has to notice. */
const ABORT_GRACE_MS = 500;

export interface JobRunnerOptions {
  database: Database;
  clock: Clock;
  random: Random;
  log: Pick<BaseLogger, 'warn' | 'error'>;
  onEvent?: (event: JobEvent) => void;
  /** Throws where a topic must not run now; its row then waits. */
  assertMayRun?: (topic: string) => Promise<void>;
}

interface RegisteredTopic {
  handler: JobHandler<unknown>;
  concurrency: number;
  attemptsMax: number;
  deadlineMs: number;
  /** Null for rows of the outbox. */
  everyMs: number | null;
  running: number;
}

interface RunningJob {
  lease: Lease;
  topic: RegisteredTopic;
  abort: AbortController;
  startedAt: number;
  /** Monotonic time of the last moment at which the lease was certainly ours. */
  keptAt: number;
  ended: Promise<void>;
}

/** Runs jobs between `start` and `drain`. */
export class JobRunner {
  readonly #options: JobRunnerOptions;
  readonly #topics = new Map<string, RegisteredTopic>();
  readonly #running = new Set<RunningJob>();
  readonly #name: string;
  #leases = 0;
  #state: 'new' | 'running' | 'draining' = 'new';
  #looking: Promise<void> | null = null;
  #isWoken = false;
  #cancelPoll: CancelTimer = () => undefined;
  #cancelRenewal: CancelTimer | null = null;

  constructor(options: JobRunnerOptions) {
    this.#options = options;
    this.#name = toHex(options.random.bytes(8));
  }

  /** Names the handler of a topic. Before `start`; each topic once. */
  handle<Payload>(topic: Topic<Payload>, handler: JobHandler<Payload>, options: TopicOptions = {}): void {
    this.#register(topic.name, null, { ...options, handler: (job) => handler(job as Job<Payload>) });
  }

  /**
   * Runs `job` about every `everyMs`, in one process at a time; the first time at once. A failure is tried again,
   * sooner than that. Each run costs two writes: what must happen at a known time is better a row of the outbox.
   */
  every(name: string, everyMs: number, job: (signal: AbortSignal) => Promise<void>): void {
    this.#register(`every:${name}`, everyMs, { handler: ({ signal }) => job(signal), concurrency: 1 });
  }

  /** Begins to work. */
  async start(): Promise<void> {
    const { database, clock } = this.#options;
    const now = clock.now();
    for (const [name, { everyMs }] of this.#topics) {
      if (everyMs === null) continue;
      await database.write((trx) => ensurePeriodicRow(trx, name, { now, nextAt: now + everyMs }));
    }
    this.#state = 'running';
    this.wake();
  }

  /** Looks for work now. Cheap: calls while it looks become one more look. For `createOutbox`'s `onCommitted`. */
  wake(): void {
    if (this.#state !== 'running') return;
    this.#isWoken = true;
    this.#looking ??= this.#look();
  }

  /**
   * Takes no more work; lets what runs finish for `graceMs`, then aborts it and hands its rows back at once. Resolves
   * with how many handlers still run because they ignore their signal: their rows wait for the end of the lease.
   */
  async drain(graceMs: number): Promise<number> {
    this.#state = 'draining';
    this.#cancelPoll();
    await this.#looking;
    await this.#endOfJobs(graceMs);
    for (const job of this.#running)
      job.abort.abort(new AppError('SERVICE_UNAVAILABLE', 'The coordinator is stopping.'));
    await this.#endOfJobs(ABORT_GRACE_MS);
    this.#cancelRenewal?.();
    this.#cancelRenewal = null;
    return this.#running.size;
  }

  #register(
    name: string,
    everyMs: number | null,
    options: TopicOptions & { handler: JobHandler<unknown> },
  ): void {
    if (this.#state !== 'new' || this.#topics.has(name))
      throw new Error(`${name} is registered too late, or twice`);
    const defaults = { concurrency: CONCURRENCY, attemptsMax: ATTEMPTS_MAX, deadlineMs: DEADLINE_MS };
    this.#topics.set(name, { ...defaults, ...options, everyMs, running: 0 });
  }

  async #look(): Promise<void> {
    let nextAt: number | null = null;
    try {
      while (this.#isWoken && this.#state === 'running') {
        this.#isWoken = false;
        nextAt = await this.#takeDue();
      }
    } catch (error) {
      this.#options.log.error({ err: error }, 'the outbox could not be read');
    }
    // In one go with the last look at #isWoken: a wake in between would be lost.
    this.#looking = null;
    if (this.#state === 'running') this.#schedulePoll(nextAt);
  }

  #schedulePoll(nextAt: number | null): void {
    const { clock, random } = this.#options;
    // Half to all of it, so that processes which started together do not look together.
    const pollMs = POLL_MS * (0.5 + 0.5 * randomFraction(random));
    const untilNextMs = nextAt === null ? pollMs : Math.max(0, nextAt - clock.now());
    this.#cancelPoll();
    this.#cancelPoll = clock.schedule(Math.min(pollMs, untilNextMs), () => this.wake());
  }

  /** Starts what is due and has a place; resolves with when the next row will be due, as far as it saw. */
  async #takeDue(): Promise<number | null> {
    const { database, clock } = this.#options;
    const places = new Map<string, number>();
    for (const [name, topic] of this.#topics) {
      if (topic.running < topic.concurrency) places.set(name, topic.concurrency - topic.running);
    }
    if (places.size === 0) return null; // The end of a job wakes us.
    // Up to the next poll and no further: rows that wait for hours are not read every second.
    const askedAt = clock.now();
    const page = { until: askedAt + 2 * POLL_MS, limit: PAGE_ROWS };
    const rows = await nextRows(database.read, [...places.keys()], page);
    const now = clock.now();
    if (now > askedAt + POLL_MS) this.#isWoken = true; // The clock was set meanwhile: something may be missing.
    const due = rows.filter((row) => row.notBeforeAt <= now);
    const wanted = due.filter((row) => {
      const left = places.get(row.topic) ?? 0;
      places.set(row.topic, left - 1);
      return left > 0;
    });
    if (wanted.length > 0) await this.#take(wanted, now);
    // A full page may hide rows of topics that still have places; those without are left out of the next look.
    if (wanted.length > 0 && rows.length === PAGE_ROWS) this.#isWoken = true;
    return rows.find((row) => row.notBeforeAt > now)?.notBeforeAt ?? null;
  }

  async #take(rows: readonly WaitingRow[], now: number): Promise<void> {
    const keptAt = this.#options.clock.monotonic();
    // Each lease has its own name: a late word about an earlier lease of this very runner must not count either.
    const named = rows.map((row) => ({ row, leasedBy: `${this.#name}:${(this.#leases += 1)}` }));
    const leases = await this.#options.database.write(async (trx) => {
      const taken: Lease[] = [];
      for (const { row, leasedBy } of named) {
        const lease = await takeLease(trx, row, { leasedBy, now, until: now + LEASE_MS });
        if (lease !== null) taken.push(lease);
      }
      return taken;
    });
    for (const lease of leases) this.#run(lease, keptAt);
  }

  #run(lease: Lease, keptAt: number): void {
    const topic = this.#topicOf(lease);
    const abort = new AbortController();
    const startedAt = this.#options.clock.monotonic();
    const job: RunningJob = { lease, topic, abort, startedAt, keptAt, ended: Promise.resolve() };
    topic.running += 1;
    this.#running.add(job);
    this.#cancelRenewal ??= this.#scheduleRenewal();
    job.ended = this.#carryOut(job).finally(() => {
      topic.running -= 1;
      this.#running.delete(job);
      this.wake();
    });
  }

  async #carryOut(job: RunningJob): Promise<void> {
    const { lease, topic, abort } = job;
    const { clock, log } = this.#options;
    const cancelDeadline = clock.schedule(topic.deadlineMs, () => {
      log.warn({ topic: lease.topic, key: lease.key }, 'a job is past its deadline');
      abort.abort(new AppError('SERVICE_UNAVAILABLE', `The job took longer than ${topic.deadlineMs} ms.`));
    });
    let failure: { error: unknown } | null = null;
    try {
      // A row that ended its process on every attempt is not tried for ever.
      if (lease.attempts > topic.attemptsMax && topic.everyMs === null)
        throw new Error('its attempts never ended');
      await this.#options.assertMayRun?.(lease.topic);
      const payload = jsonFromColumn(lease.payload);
      await topic.handler({ key: lease.key, payload, attempt: lease.attempts, signal: abort.signal });
    } catch (error) {
      failure = { error };
    }
    cancelDeadline();
    await this.#settle(job, failure);
  }

  async #settle(job: RunningJob, failure: { error: unknown } | null): Promise<void> {
    const { lease, topic, startedAt } = job;
    const { database, clock, random, log, onEvent } = this.#options;
    const { outcome: intended, settlement } = settlementOf({
      attempt: lease.attempts,
      attemptsMax: topic.attemptsMax,
      everyMs: topic.everyMs,
      failure,
      // The end of the drain ended it: no fault of its own, and no attempt.
      wasStopped: this.#state === 'draining' && job.abort.signal.aborted,
      now: clock.now(),
      random,
    });
    const row: RowId = { topic: lease.topic, key: lease.key };
    let outcome: JobEvent['outcome'] = intended;
    try {
      if (!(await database.write((trx) => settleLease(trx, lease, settlement)))) outcome = 'lease_lost';
    } catch (error) {
      outcome = 'lease_lost';
      log.error(
        { err: error, ...row },
        'a job has ended and it could not be written down: it will run again',
      );
    }
    if (failure !== null && !isAppError(failure.error, 'COORDINATOR_SAFE_MODE'))
      log.warn({ err: failure.error, attempt: lease.attempts, outcome, ...row }, 'a job failed');
    onEvent?.({ topic: lease.topic, outcome, durationMs: clock.monotonic() - startedAt });
  }

  #scheduleRenewal(): CancelTimer {
    return this.#options.clock.schedule(RENEW_EVERY_MS, () => {
      this.#cancelRenewal = this.#running.size > 0 ? this.#scheduleRenewal() : null;
      for (const job of this.#running) void this.#renew(job);
    });
  }

  async #renew(job: RunningJob): Promise<void> {
    const { database, clock, log } = this.#options;
    const asOf = clock.monotonic();
    const until = clock.now() + LEASE_MS;
    try {
      if (await database.write((trx) => keepLease(trx, job.lease, until))) job.keptAt = asOf;
      else if (this.#running.has(job)) job.abort.abort(new AppError('LEASE_STALE'));
    } catch (error) {
      log.error({ err: error, topic: job.lease.topic, key: job.lease.key }, 'a lease could not be renewed');
      if (clock.monotonic() - job.keptAt > UNSAFE_AFTER_MS) job.abort.abort(new AppError('LEASE_STALE'));
    }
  }

  /** Resolves when nothing runs, or after `limitMs`. */
  async #endOfJobs(limitMs: number): Promise<void> {
    const limit = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.schedule(limitMs, () => limit.resolve(undefined));
    await Promise.race([Promise.all([...this.#running].map((job) => job.ended)), limit.promise]);
    cancel();
  }

  #topicOf(lease: Lease): RegisteredTopic {
    const topic = this.#topics.get(lease.topic);
    if (topic === undefined) throw new Error(`${lease.topic} has no handler`);
    return topic;
  }
}
