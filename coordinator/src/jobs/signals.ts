/**
 * Signals: what changed, told to the streams of every coordinator process. A writer adds a row in its transaction;
 * each process reads the new rows after its own commits, and by a slow poll for those of others. Signals only
 * accelerate: a stream that missed one still reads the truth when it next looks.
 */
import { sql } from 'kysely';
import type { BaseLogger } from 'pino';
import type { CancelTimer, Clock } from '@dc/shared/clock';
import type { Database, Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';

/** What a signal is about: `contract` by id, `pool` by id (there is work). */
export type SignalTopic = 'contract' | 'pool';

/** How late a stream may learn of what another process wrote. One indexed read each time. */
const POLL_MS = 500;
/** Rows older than this have been read by every process that is awake. */
const KEEP_MS = 60_000;

/** Must not throw: it is called between others'. */
type Listener = () => void;

export interface SignalsOptions {
  db: Pick<Database, 'read'>;
  clock: Clock;
  log: Pick<BaseLogger, 'error'>;
}

export class Signals {
  readonly #options: SignalsOptions;
  readonly #listeners = new Map<string, Set<Listener>>();
  #lastId = 0;
  /** When the rows up to `#lastId` had been read, on the wall clock, as rows are dated by it. */
  #readAt = 0;
  #reading: Promise<void> | null = null;
  #again = false;
  #cancelPoll: CancelTimer | null = null;
  #started = false;

  constructor(options: SignalsOptions) {
    this.#options = options;
  }

  /** Starts listening to what is written from now on. */
  async start(): Promise<void> {
    const { db, clock } = this.#options;
    this.#readAt = clock.now();
    const row = await db.read
      .selectFrom('signals')
      .select(sql<number>`coalesce(max(id), 0)`.as('last'))
      .executeTakeFirst();
    this.#lastId = row?.last ?? 0;
    this.#started = true;
    this.#schedulePoll();
  }

  /** Stops the poll. Listeners stay, and hear nothing more. */
  async stop(): Promise<void> {
    this.#started = false;
    this.#cancelPoll?.();
    this.#cancelPoll = null;
    await this.#reading;
  }

  /** Records, in `trx`, that something changed; listeners hear of it after the commit. */
  async emit(trx: Transaction, topic: SignalTopic, key: string): Promise<void> {
    const at = this.#options.clock.now();
    await statement`insert into signals (topic, key, at) values (${topic}, ${key}, ${at})`.execute(trx);
    trx.afterCommit(() => this.wake());
  }

  /** Calls `listener` after each change of (topic, key), and returns the function that ends it. */
  listen(topic: SignalTopic, key: string, listener: Listener): () => void {
    const name = `${topic}:${key}`;
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(name);
    };
  }

  /** Reads new rows now. Several calls while one read runs become one more read. */
  wake(): void {
    if (!this.#started) return;
    if (this.#reading !== null) {
      this.#again = true;
      return;
    }
    this.#reading = this.#read().finally(() => {
      this.#reading = null;
      if (!this.#again) return;
      this.#again = false;
      this.wake();
    });
  }

  /** Deletes rows that everybody has read. For the housekeeping job. */
  static async prune(trx: Transaction, now: number): Promise<void> {
    await trx
      .deleteFrom('signals')
      .where('at', '<', now - KEEP_MS)
      .execute();
  }

  async #read(): Promise<void> {
    const { db, clock, log } = this.#options;
    const now = clock.now();
    let names: Iterable<string>;
    try {
      const rows = await newerThan(db.read, this.#lastId);
      this.#lastId = rows.at(-1)?.id ?? this.#lastId;
      // A process that slept for so long may have missed rows that were pruned: then everybody looks.
      const isLate = now - this.#readAt >= KEEP_MS;
      names = isLate ? [...this.#listeners.keys()] : new Set(rows.map(({ topic, key }) => `${topic}:${key}`));
      this.#readAt = now;
    } catch (error) {
      log.error({ err: error }, 'signals could not be read: the next poll tries again');
      return;
    }
    for (const name of names) for (const listener of [...(this.#listeners.get(name) ?? [])]) listener();
  }

  #schedulePoll(): void {
    if (!this.#started) return;
    this.#cancelPoll = this.#options.clock.schedule(POLL_MS, () => {
      this.wake();
      this.#schedulePoll();
    });
  }
}

/** Plain SQL: it is asked twice a second. */
async function newerThan(reader: Reader, id: number): Promise<{ id: number; topic: string; key: string }[]> {
  const { rows } = await statement<{ id: number; topic: string; key: string }>`
    select id, topic, key from signals where id > ${id} order by id`.execute(reader);
  return rows;
}
