/**
 * The SQL of the job runner: which rows are due, and taking, keeping and settling the lease of one. Every change names
 * the lease it was made under, so that a runner which lost it changes nothing.
 *
 * A leased row's `not_before_at` is when its lease ends: "due" is then one condition on one index, also for the rows
 * of a runner that died.
 */
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';

/** Which row. */
export interface RowId {
  topic: string;
  key: string;
}

/** A row that waits. */
export interface WaitingRow extends RowId {
  notBeforeAt: number;
}

/** A row that this runner may carry out until `until`, as long as `leasedBy` is what the row says. */
export interface Lease extends RowId {
  leasedBy: string;
  payload: string;
  /** This one included. */
  attempts: number;
}

/** The first `limit` rows of `topics` that are due at `until`, in the order in which they become due. */
export async function nextRows(
  reader: Reader,
  topics: readonly string[],
  { until, limit }: { until: number; limit: number },
): Promise<WaitingRow[]> {
  // Plain SQL, because it is asked every second and after each job. The topic is an expression, so that the index on
  // what waits is used: by topic all that was ever done would be read.
  const { rows } = await statement<{ topic: string; key: string; not_before_at: number }>`
    select topic, key, not_before_at from outbox
    where done_at is null and needs_attention_at is null and not_before_at <= ${until}
      and topic || '' in (select value from json_each(${JSON.stringify(topics)}))
    order by not_before_at limit ${limit}`.execute(reader);
  return rows.map((row) => ({ topic: row.topic, key: row.key, notBeforeAt: row.not_before_at }));
}

/** Takes the lease, or resolves with null when somebody else was faster. */
export async function takeLease(
  trx: Transaction,
  row: RowId,
  lease: { leasedBy: string; now: number; until: number },
): Promise<Lease | null> {
  const { rows } = await statement<{ payload: string; attempts: number }>`
    update outbox set leased_by = ${lease.leasedBy}, not_before_at = ${lease.until}, attempts = attempts + 1
    where topic = ${row.topic} and key = ${row.key} and done_at is null and needs_attention_at is null
      and not_before_at <= ${lease.now}
    returning payload, attempts`.execute(trx);
  const [taken] = rows;
  if (taken === undefined) return null;
  return {
    topic: row.topic,
    key: row.key,
    leasedBy: lease.leasedBy,
    payload: taken.payload,
    attempts: taken.attempts,
  };
}

/** What happens to a row whose lease is given up. */
export type Settlement =
  | { as: 'done'; now: number }
  /** Waits again: for its next attempt, or a periodic job for its next turn. */
  | { as: 'waiting'; at: number; attempts: number; lastError: string | null }
  | { as: 'needs_attention'; now: number; lastError: string };

/** Keeps the lease until `until`. False when it is lost. */
export async function keepLease(trx: Transaction, lease: Lease, until: number): Promise<boolean> {
  return changeLeased(trx, lease, { not_before_at: until });
}

/** Gives the lease up. False when it was lost before, and then nothing has changed. */
export async function settleLease(trx: Transaction, lease: Lease, settlement: Settlement): Promise<boolean> {
  switch (settlement.as) {
    case 'done':
      return finishLeased(trx, lease, settlement.now);
    case 'waiting':
      return waitAgain(trx, lease, settlement);
    case 'needs_attention':
      return changeLeased(trx, lease, {
        leased_by: null,
        needs_attention_at: settlement.now,
        last_error: settlement.lastError,
      });
  }
}

/**
 * Makes the row of a periodic job, or brings its next turn forward where it lies beyond `nextAt`: an interval that was
 * shortened counts from now on.
 */
export async function ensurePeriodicRow(
  trx: Transaction,
  topic: string,
  times: { now: number; nextAt: number },
): Promise<void> {
  await trx
    .insertInto('outbox')
    .values({
      topic,
      key: topic,
      payload: 'null',
      created_at: times.now,
      not_before_at: times.now,
      attempts: 0,
    })
    .onConflict((conflict) => conflict.columns(['topic', 'key']).doNothing())
    .execute();
  await trx
    .updateTable('outbox')
    .set({ not_before_at: times.nextAt })
    .where('topic', '=', topic)
    .where('not_before_at', '>', times.nextAt)
    .where('leased_by', 'is', null)
    .execute();
}

interface RowChange {
  leased_by?: null;
  not_before_at?: number;
  needs_attention_at?: number;
  last_error?: string | null;
}

async function finishLeased(trx: Transaction, lease: Lease, now: number): Promise<boolean> {
  const { numAffectedRows } = await statement`
    update outbox set leased_by = null, done_at = ${now}, last_error = null
    where topic = ${lease.topic} and key = ${lease.key} and leased_by = ${lease.leasedBy}`.execute(trx);
  return numAffectedRows === 1n;
}

async function waitAgain(
  trx: Transaction,
  lease: Lease,
  { at, attempts, lastError }: Extract<Settlement, { as: 'waiting' }>,
): Promise<boolean> {
  const { numAffectedRows } = await statement`
    update outbox set leased_by = null, not_before_at = ${at}, attempts = ${attempts}, last_error = ${lastError}
    where topic = ${lease.topic} and key = ${lease.key} and leased_by = ${lease.leasedBy}`.execute(trx);
  return numAffectedRows === 1n;
}

async function changeLeased(trx: Transaction, lease: Lease, change: RowChange): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('outbox')
    .set(change)
    .where('topic', '=', lease.topic)
    .where('key', '=', lease.key)
    .where('leased_by', '=', lease.leasedBy)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}
