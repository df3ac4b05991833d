/**
 * The port to the database: reads on one side, group-committed writes on the other. Stores take a `Reader` where
 * they only read and a `Transaction` where they write, so a read can never slip into the writer by accident.
 */
import { Transaction as KyselyTransaction } from 'kysely';
import type { Kysely, KyselyProps } from 'kysely';
import type { Tables } from './tables.ts';

/**
 * What a read runs on: `database.read`, a snapshot, or a `Transaction` (which sees its own uncommitted rows). It has
 * no insert, update or delete; raw `sql` runs on it too, and the read-only connection refuses what would write.
 */
export type Reader = Pick<
  Kysely<Tables>,
  'selectFrom' | 'selectNoFrom' | 'with' | 'fn' | 'case' | 'getExecutor'
>;

/** Runs after the commit. It is not awaited; what it throws or rejects with is logged. */
export type AfterCommit = () => void | Promise<void>;

/** A write in progress. Its queries throw once its job has ended. */
export class Transaction extends KyselyTransaction<Tables> {
  readonly #afterCommit: AfterCommit[];

  constructor(props: KyselyProps, afterCommit: AfterCommit[]) {
    super(props);
    this.#afterCommit = afterCommit;
  }

  /** Runs `action` once this write is durable: in the order registered, and never when it was rolled back. */
  afterCommit(action: AfterCommit): void {
    this.#afterCommit.push(action);
  }
}

/** One database. */
export interface Database {
  /** Committed rows only. Several reads in a row may see several states: use `snapshot` where they must agree. */
  readonly read: Reader;
  /**
   * Runs `job` in a transaction of its own and resolves with its result once that is durable. When the job throws,
   * its changes are gone and the caller gets that error. A job does nothing but queries: no network, no timers, no
   * `write` inside it (which throws); and it may be run again from the start, so it changes nothing in memory.
   * Rejects with SERVICE_UNAVAILABLE when too many writes wait, another process holds the database too long, the
   * job takes longer than its deadline, or the database is closing; with DATABASE_FULL when the disk is.
   */
  write<T>(job: (trx: Transaction) => Promise<T>): Promise<T>;
  /** Runs `job` with a reader that sees one moment of the database throughout. Not for the hot path. */
  snapshot<T>(job: (reader: Reader) => Promise<T>): Promise<T>;
  /** Lets the waiting writes finish, then closes. Idempotent. */
  close(): Promise<void>;
}
