/**
 * What follows from a change leaves from here (I9): a row is written in the transaction of the change, and the job
 * runner carries it out afterwards, at least once. Carrying out is job-runner.ts.
 *
 * INVARIANTS:
 * - A row exists exactly when its change was committed. (topic, key) is unique, so that a replay adds nothing.
 * - A row is never dropped: it is waiting, leased, done, or `needs_attention` and visible.
 * - There is no order between rows.
 */
import { sql } from 'kysely';
import type { Clock } from '@dc/shared/clock';
import { jsonToColumn } from '../database/columns.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';

/** A kind of work, and the type of what its handler needs to know. */
export interface Topic<Payload> {
  readonly name: string;
  /** Never there: it ties the payload of what is enqueued to that of the handler. */
  readonly payloadType?: Payload;
}

/** A row to write. */
export interface OutboxItem<Payload> {
  /** What it is for, such as a contract's id: the same key again is the same work and adds nothing. */
  key: string;
  /** JSON. Its handler may be of a later version of the program by then. */
  payload: Payload;
  /** Earliest time to do it; now when it is left out. */
  notBeforeAt?: number;
}

/** Where changes leave their consequences. */
export interface Outbox {
  /** Adds a row in `trx` unless its topic has one with this key, done or not (done ones are kept for a week). */
  enqueue<Payload>(
    trx: Transaction,
    topic: Topic<Payload>,
    item: OutboxItem<Payload>,
  ): Promise<'enqueued' | 'already_enqueued'>;
}

/** Names a topic: `payment.refund`. */
export function defineTopic<Payload>(name: string): Topic<Payload> {
  return { name };
}

/** Makes the outbox. `onCommitted` is called after each commit that added rows: the runner's `wake`. */
export function createOutbox({ clock, onCommitted }: { clock: Clock; onCommitted: () => void }): Outbox {
  return {
    async enqueue(trx, topic, { key, payload, notBeforeAt }) {
      const now = clock.now();
      const { numAffectedRows } = await statement`
        insert into outbox (topic, key, payload, created_at, not_before_at, attempts)
        values (${topic.name}, ${key}, ${jsonToColumn(payload)}, ${now}, ${notBeforeAt ?? now}, 0)
        on conflict (topic, key) do nothing`.execute(trx);
      if (numAffectedRows === 0n) return 'already_enqueued';
      trx.afterCommit(onCommitted);
      return 'enqueued';
    },
  };
}

/** A row that the runner gave up on, for the admin. */
export interface StuckRow {
  topic: string;
  key: string;
  attempts: number;
  lastError: string | null;
  needsAttentionAt: number;
}

/** The rows that need a person, the oldest first; at most `limit`. */
export async function rowsNeedingAttention(reader: Reader, limit: number): Promise<StuckRow[]> {
  const rows = await reader
    .selectFrom('outbox')
    .select(['topic', 'key', 'attempts', 'last_error', 'needs_attention_at'])
    .where('needs_attention_at', 'is not', null)
    .orderBy('needs_attention_at')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    topic: row.topic,
    key: row.key,
    attempts: row.attempts,
    lastError: row.last_error,
    needsAttentionAt: row.needs_attention_at ?? 0,
  }));
}

/** Lets the runner try a row that needs attention again, with all its attempts. False when there is no such row. */
export async function retryStuckRow(
  trx: Transaction,
  row: { topic: string; key: string },
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('outbox')
    .set({ needs_attention_at: null, not_before_at: now, attempts: 0 })
    .where('topic', '=', row.topic)
    .where('key', '=', row.key)
    .where('needs_attention_at', 'is not', null)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** How much of a topic waits. */
export interface TopicBacklog {
  topic: string;
  /** Due, not yet due, or being done. */
  waiting: number;
  needsAttention: number;
  /** Since when the oldest row could have been done; null where nothing waits. A late one shows a runner in trouble. */
  oldestAt: number | null;
}

/** The backlog of each topic that has rows which are not done. For metrics and readiness. */
export async function outboxBacklog(reader: Reader): Promise<TopicBacklog[]> {
  const rows = await reader
    .selectFrom('outbox')
    .select([
      'topic',
      sql<number>`count(*) - count(needs_attention_at)`.as('waiting'),
      sql<number>`count(needs_attention_at)`.as('needs_attention'),
      sql<number | null>`min(case when needs_attention_at is null then not_before_at end)`.as('oldest_at'),
    ])
    .where('done_at', 'is', null)
    .groupBy('topic')
    .orderBy('topic')
    .execute();
  return rows.map((row) => ({
    topic: row.topic,
    waiting: row.waiting,
    needsAttention: row.needs_attention,
    oldestAt: row.oldest_at,
  }));
}

/** Deletes up to `limit` rows done before `doneBefore` and resolves with how many; their keys can be used again then. */
export async function pruneDone(trx: Transaction, doneBefore: number, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from outbox where (topic, key) in (
      select topic, key from outbox where done_at < ${doneBefore} order by done_at limit ${limit})`.execute(
    trx,
  );
  return Number(numAffectedRows ?? 0);
}
