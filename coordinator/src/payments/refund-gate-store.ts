/** The SQL of the refund gate: what waits for an admin, and how much was refunded today without one. */
import { sql } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { RefundRequestsTable } from '../database/tables-refunds.ts';
import type { RefundedToday } from './refund-bounds.ts';

/** A request with what it is about. */
export interface RefundRequestRow extends RefundRequestsTable {
  contract_id: string;
  renter_pubkey: string;
  method: string;
  amount_e9s: bigint;
  currency: string;
  /** Why the refund was decided. */
  cause: string;
  confirmed_at: number | null;
}

export const REQUEST_STATES = ['waiting', 'approved', 'declined', 'settled'] as const;
/** `settled`: it went back without a decision. */
export type RequestState = (typeof REQUEST_STATES)[number];

export function stateOf({ decision, confirmed_at }: RefundRequestRow): RequestState {
  if (decision !== null) return decision as RequestState;
  return confirmed_at === null ? 'waiting' : 'settled';
}

/** Where a day's sums are kept. */
interface DayPlace {
  day: string;
  renter: string;
  currency: string;
}

/** What was refunded on that day without a person, to the renter and to everyone. */
export async function refundedToday(
  reader: Reader,
  { day, renter, currency }: DayPlace,
): Promise<RefundedToday> {
  const rows = await reader
    .selectFrom('refund_days')
    .select(['renter', 'amount_e9s'])
    .where('day', '=', day)
    .where('renter', 'in', [renter, ''])
    .where('currency', '=', currency)
    .execute();
  const sumOf = (of: string): bigint => rows.find((row) => row.renter === of)?.amount_e9s ?? 0n;
  return { renterE9s: sumOf(renter), everyoneE9s: sumOf('') };
}

/** Counts a refund that leaves without a person. */
export async function addToDay(trx: Transaction, place: DayPlace, amountE9s: bigint): Promise<void> {
  for (const renter of [place.renter, ''])
    await trx
      .insertInto('refund_days')
      .values({ ...place, renter, amount_e9s: amountE9s })
      .onConflict((conflict) =>
        conflict
          .columns(['day', 'renter', 'currency'])
          .doUpdateSet({ amount_e9s: sql<bigint>`refund_days.amount_e9s + ${amountE9s}` }),
      )
      .execute();
}

/** Deletes up to `limit` sums of days before `day`; resolves with how many. */
export async function forgetDays(trx: Transaction, day: string, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from refund_days where (day, renter, currency) in (
      select day, renter, currency from refund_days where day < ${day} order by day limit ${limit})`.execute(
    trx,
  );
  return Number(numAffectedRows ?? 0);
}

export async function insertRequest(trx: Transaction, row: RefundRequestsTable): Promise<void> {
  await trx.insertInto('refund_requests').values(row).execute();
}

/** Writes the decision down; whoever calls has seen in this transaction that there is none. */
export async function decideRequest(
  trx: Transaction,
  id: string,
  decision: Pick<RefundRequestsTable, 'decision' | 'decided_by' | 'decided_at' | 'reason'>,
): Promise<void> {
  await trx
    .updateTable('refund_requests')
    .set(decision)
    .where('id', '=', id)
    .where('decision', 'is', null)
    .execute();
}

const selectRequests = (reader: Reader) =>
  reader
    .selectFrom('refund_requests as q')
    .innerJoin('refunds as r', 'r.key', 'q.refund_key')
    .innerJoin('contracts as c', 'c.id', 'r.contract_id')
    .selectAll('q')
    .select(['r.contract_id', 'r.amount_e9s', 'r.currency', 'r.confirmed_at', 'r.reason as cause'])
    .select(['c.renter_pubkey', 'c.payment_method as method']);

export async function findRequest(reader: Reader, id: string): Promise<RefundRequestRow | null> {
  return (await selectRequests(reader).where('q.id', '=', id).executeTakeFirst()) ?? null;
}

/** Whether the refund waits for an admin. */
export async function isKeptBack(reader: Reader, refundKey: string): Promise<boolean> {
  const row = await reader
    .selectFrom('refund_requests')
    .select('id')
    .where('refund_key', '=', refundKey)
    .where('decision', 'is', null)
    .executeTakeFirst();
  return row !== undefined;
}

/** The request about a contract's refund that a renter should know of: one that waits, else the newest declined one. */
export async function findRequestOf(reader: Reader, contractId: string): Promise<RefundRequestRow | null> {
  const rows = await selectRequests(reader)
    .where('r.contract_id', '=', contractId)
    .orderBy('q.id', 'desc')
    .execute();
  return (
    rows.find((row) => stateOf(row) === 'waiting') ??
    rows.find(({ decision }) => decision === 'declined') ??
    null
  );
}

/** Which requests to list; those that wait come oldest first, all others newest first. */
export interface RequestFilter {
  state?: RequestState | undefined;
  limit: number;
  /** The id of the last one of the page before. */
  cursor?: string | undefined;
}

export async function listRequests(
  reader: Reader,
  { state, limit, cursor }: RequestFilter,
): Promise<RefundRequestRow[]> {
  const isWaiting = state === 'waiting';
  let query = selectRequests(reader)
    .orderBy('q.id', isWaiting ? 'asc' : 'desc')
    .limit(limit);
  if (cursor !== undefined) query = query.where('q.id', isWaiting ? '>' : '<', cursor);
  if (state === 'approved' || state === 'declined') query = query.where('q.decision', '=', state);
  else if (state !== undefined)
    query = query.where('q.decision', 'is', null).where('r.confirmed_at', isWaiting ? 'is' : 'is not', null);
  return query.execute();
}
