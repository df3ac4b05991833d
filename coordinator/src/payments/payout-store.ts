/** The SQL of what providers are owed, and of payouts. */
import { sql, type Selectable, type SqlBool } from 'kysely';
import type { PayoutState } from '@dc/shared/wire/money';
import type { Reader, Transaction } from '../database/database.ts';
import type { PayoutsTable } from '../database/tables-money.ts';

export type PayoutRow = Omit<Selectable<PayoutsTable>, 'state'> & { state: PayoutState };

/** What one provider is owed in one currency: the releases that no payout has. */
export interface Owed {
  provider_pubkey: string;
  currency: string;
  total_e9s: bigint;
  release_count: number;
  through: number;
  oldest_at: number;
  newest_at: number;
}

/**
 * What of a payout's releases it did not pay, or what it paid of those before: together what is left over. One that
 * failed counts for nothing.
 */
const LEFT_E9S = sql<bigint>`releases_e9s - amount_e9s + reversed_e9s`;

/** What earlier payouts have left over of a provider's money: fractions that no transfer could say, and what came back. */
export async function restOf(
  reader: Reader,
  { provider, currency }: Pick<ReleasesThrough, 'provider' | 'currency'>,
): Promise<bigint> {
  const row = await reader
    .selectFrom('payouts')
    .select(sql<bigint>`coalesce(sum(${LEFT_E9S}), 0)`.as('rest_e9s'))
    .where('provider_pubkey', '=', provider)
    .where('currency', '=', currency)
    .where('state', '!=', 'failed')
    .executeTakeFirstOrThrow();
  return row.rest_e9s;
}

/** The same of all who have a rest, or of one provider. */
export function listRests(
  reader: Reader,
  provider?: string,
): Promise<{ provider_pubkey: string; currency: string; rest_e9s: bigint }[]> {
  const all = reader
    .selectFrom('payouts')
    .select(['provider_pubkey', 'currency', sql<bigint>`sum(${LEFT_E9S})`.as('rest_e9s')])
    .where('state', '!=', 'failed')
    .groupBy(['provider_pubkey', 'currency'])
    .having(sql<SqlBool>`sum(${LEFT_E9S}) <> 0`);
  return (provider === undefined ? all : all.where('provider_pubkey', '=', provider)).execute();
}

/** What providers are owed, by provider and currency, after a place in that order; a rest goes with new releases. */
export async function listOwed(
  reader: Reader,
  { after, limit }: { after: { provider: string; currency: string }; limit: number },
): Promise<Owed[]> {
  const owed = await reader
    .selectFrom('releases')
    .select([
      'provider_pubkey',
      'currency',
      sql<bigint>`sum(amount_e9s)`.as('total_e9s'),
      sql<number>`count(*)`.as('release_count'),
      sql<number>`max(seq)`.as('through'),
      sql<number>`min(at)`.as('oldest_at'),
      sql<number>`max(at)`.as('newest_at'),
    ])
    .where('payout_id', 'is', null)
    .where(sql<SqlBool>`(provider_pubkey, currency) > (${after.provider}, ${after.currency})`)
    .groupBy(['provider_pubkey', 'currency'])
    .orderBy('provider_pubkey')
    .orderBy('currency')
    .limit(limit)
    .execute();
  return Promise.all(
    owed.map(async (row) => {
      const { provider_pubkey: provider, currency } = row;
      return { ...row, total_e9s: row.total_e9s + (await restOf(reader, { provider, currency })) };
    }),
  );
}

/** Some of a provider's releases in one currency: those up to a number. */
export interface ReleasesThrough {
  provider: string;
  currency: string;
  through: number;
}

/** The sum and number of those that no payout has. */
export async function sumUnpaid(
  reader: Reader,
  { provider, currency, through }: ReleasesThrough,
): Promise<{ totalE9s: bigint; count: number }> {
  const row = await reader
    .selectFrom('releases')
    .select([
      sql<bigint>`coalesce(sum(amount_e9s), 0)`.as('total_e9s'),
      sql<number>`count(*)`.as('release_count'),
    ])
    .where('provider_pubkey', '=', provider)
    .where('currency', '=', currency)
    .where('payout_id', 'is', null)
    .where('seq', '<=', through)
    .executeTakeFirstOrThrow();
  return { totalE9s: row.total_e9s, count: row.release_count };
}

/** The payout that has the last of these releases; null where none has it. */
export async function findPayoutOf(
  reader: Reader,
  { provider, currency, through }: ReleasesThrough,
): Promise<PayoutRow | null> {
  const row = await reader
    .selectFrom('releases')
    .innerJoin('payouts', 'payouts.id', 'releases.payout_id')
    .selectAll('payouts')
    .where('releases.provider_pubkey', '=', provider)
    .where('releases.currency', '=', currency)
    .where('releases.seq', '<=', through)
    .orderBy('releases.seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return (row as PayoutRow | undefined) ?? null;
}

/** How many payouts of a provider in a currency failed: a new try is another payout. */
export async function countFailed(
  reader: Reader,
  { provider, currency }: Pick<ReleasesThrough, 'provider' | 'currency'>,
): Promise<number> {
  const row = await reader
    .selectFrom('payouts')
    .select(sql<number>`count(*)`.as('failed'))
    .where('provider_pubkey', '=', provider)
    .where('currency', '=', currency)
    .where('state', '=', 'failed')
    .executeTakeFirstOrThrow();
  return row.failed;
}

export async function insertPayout(trx: Transaction, row: PayoutRow): Promise<void> {
  await trx.insertInto('payouts').values(row).execute();
}

/** Gives unpaid releases to a payout; resolves with how many. */
export async function markReleases(
  trx: Transaction,
  { provider, currency, through }: ReleasesThrough,
  payoutId: string,
): Promise<number> {
  const { numUpdatedRows } = await trx
    .updateTable('releases')
    .set({ payout_id: payoutId })
    .where('provider_pubkey', '=', provider)
    .where('currency', '=', currency)
    .where('payout_id', 'is', null)
    .where('seq', '<=', through)
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows);
}

/** Takes them from a payout that failed: they are owed again. */
export async function freeReleases(trx: Transaction, payoutId: string): Promise<void> {
  await trx.updateTable('releases').set({ payout_id: null }).where('payout_id', '=', payoutId).execute();
}

export async function findPayout(reader: Reader, id: string): Promise<PayoutRow | null> {
  const row = await reader.selectFrom('payouts').selectAll().where('id', '=', id).executeTakeFirst();
  return (row as PayoutRow | undefined) ?? null;
}

/** The payout that was sent by a route's own transfer, by its reference. */
export async function findPayoutBySent(reader: Reader, reference: string): Promise<PayoutRow | null> {
  const row = await reader
    .selectFrom('payouts')
    .innerJoin('payout_transfers', 'payout_transfers.payout_id', 'payouts.id')
    .selectAll('payouts')
    .where('reference', '=', reference)
    .executeTakeFirst();
  return (row as PayoutRow | undefined) ?? null;
}

/** The keys of all payouts of a provider. */
export async function listKeys(reader: Reader, provider: string): Promise<string[]> {
  const rows = await reader
    .selectFrom('payouts')
    .select('key')
    .where('provider_pubkey', '=', provider)
    .execute();
  return rows.map(({ key }) => key);
}

/** Whether a payout, by hand also, was sent under this reference. */
export async function isKnownTransfer(reader: Reader, reference: string): Promise<boolean> {
  const row = await reader
    .selectFrom('payouts')
    .select('id')
    .where('reference', '=', reference)
    .executeTakeFirst();
  return row !== undefined;
}

/** Moves a payout that is still in the state of `before`; false where somebody was faster. */
export async function updatePayout(
  trx: Transaction,
  before: PayoutRow,
  change: Partial<
    Pick<PayoutRow, 'state' | 'reference' | 'failure' | 'sent_at' | 'settled_at' | 'reversed_e9s'>
  >,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('payouts')
    .set(change)
    .where('id', '=', before.id)
    .where('state', '=', before.state)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Payouts, newest first; ids are UUIDv7, so that they sort by time. */
export async function listPayouts(
  reader: Reader,
  filter: {
    state?: PayoutState | undefined;
    provider?: string | undefined;
    before?: string | undefined;
    limit: number;
  },
): Promise<PayoutRow[]> {
  let query = reader.selectFrom('payouts').selectAll().orderBy('id', 'desc').limit(filter.limit);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.provider !== undefined) query = query.where('provider_pubkey', '=', filter.provider);
  if (filter.before !== undefined) query = query.where('id', '<', filter.before);
  return (await query.execute()) as PayoutRow[];
}
