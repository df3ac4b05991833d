/** The SQL of what is earned: how far a contract's time is judged, the releases to its provider, the renter's credits. */
import { sql, type Insertable } from 'kysely';
import { parseJws } from '@dc/shared/crypto/jws';
import type { RecordPayload } from '@dc/shared/evidence/record';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader, Transaction } from '../database/database.ts';
import type { CreditsTable, EarningsTable, ReleasesTable } from '../database/tables-money.ts';
import { announcedTimes } from '../trust/uptime-rules.ts';
import type { Interval, Maintenance } from './judge-time.ts';

/** What earning needs to know of a contract. */
export type EarningContract = Pick<
  ContractRow,
  | 'id'
  | 'provider_pubkey'
  | 'agent_key'
  | 'currency'
  | 'total_e9s'
  | 'setup_fee_e9s'
  | 'duration_hours'
  | 'active_at'
  | 'ended_at'
  | 'paused_at'
  | 'paused_ms'
  | 'payment_state'
  | 'state'
>;

const CONTRACT_COLUMNS = [
  'id',
  'provider_pubkey',
  'agent_key',
  'currency',
  'total_e9s',
  'setup_fee_e9s',
  'duration_hours',
  'active_at',
  'ended_at',
  'paused_at',
  'paused_ms',
  'payment_state',
  'state',
] as const;

const EARNING_COLUMNS = [
  'contract_id',
  'judged_until_at',
  'proved_ms',
  'unproved_ms',
  'released_e9s',
  'credited_e9s',
  'setup_fee_released',
  'due_at',
] as const;

/** A contract and how far its time is judged. */
export interface EarningRow {
  contract: EarningContract;
  earning: EarningsTable;
}

/** Begins to judge a contract's time. */
export async function insertEarning(
  trx: Transaction,
  row: { contractId: string; at: number; dueAt: number },
): Promise<void> {
  await sql`insert into earnings values (${row.contractId}, ${row.at}, 0, 0, 0, 0, 0, ${row.dueAt})`.execute(
    trx,
  );
}

export async function findEarning(reader: Reader, contractId: string): Promise<EarningsTable | null> {
  const query = reader.selectFrom('earnings').selectAll().where('contract_id', '=', contractId);
  return (await query.executeTakeFirst()) ?? null;
}

/**
 * Those whose time is to be judged by `now`, the longest due first. A disputed one waits for the outcome: its money is
 * held.
 */
export async function findDueEarnings(reader: Reader, now: number, limit: number): Promise<EarningRow[]> {
  const rows = await reader
    .selectFrom('earnings as e')
    .innerJoin('contracts as c', 'c.id', 'e.contract_id')
    .select([
      ...EARNING_COLUMNS.map((column) => `e.${column}` as const),
      ...CONTRACT_COLUMNS.map((column) => `c.${column}` as const),
    ])
    .where('e.due_at', '<=', now)
    .where('c.payment_state', '!=', 'disputed')
    .orderBy('e.due_at')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ contract: row as unknown as EarningContract, earning: row }));
}

/** Writes down how far it is judged. */
export async function updateEarning(trx: Transaction, row: EarningsTable): Promise<void> {
  await sql`
    update earnings set judged_until_at = ${row.judged_until_at}, proved_ms = ${row.proved_ms},
      unproved_ms = ${row.unproved_ms}, released_e9s = ${row.released_e9s}, credited_e9s = ${row.credited_e9s},
      setup_fee_released = ${row.setup_fee_released}, due_at = ${row.due_at}
      where contract_id = ${row.contract_id}`.execute(trx);
}

export async function insertReleases(
  trx: Transaction,
  rows: readonly Insertable<ReleasesTable>[],
): Promise<void> {
  if (rows.length > 0)
    await trx
      .insertInto('releases')
      .values([...rows])
      .execute();
}

/** What a lost dispute took back of what a provider had earned: less is owed, for the payout after next as well. */
export function insertReversal(
  trx: Transaction,
  contract: Pick<ContractRow, 'id' | 'provider_pubkey' | 'currency'>,
  { cause, amountE9s, at }: { cause: string; amountE9s: bigint; at: number },
): Promise<void> {
  const { id: contract_id, provider_pubkey, currency } = contract;
  const row = { ...{ cause, contract_id, provider_pubkey, currency, at }, ...NO_TIME };
  return insertReleases(trx, [{ ...row, amount_e9s: -amountE9s, kind: 'reversal', payout_id: null }]);
}

/** Of a release that is not for time. */
export const NO_TIME = {
  from_at: null,
  to_at: null,
  proved_ms: 0,
  first_proof: null,
  last_proof: null,
};

export async function insertCredits(trx: Transaction, rows: readonly CreditsTable[]): Promise<void> {
  if (rows.length > 0)
    await trx
      .insertInto('credits')
      .values([...rows])
      .execute();
}

/** When a contract was paused, in order; the last pause lasts until `now` where it is not over. */
export async function findPauses(reader: Reader, contractId: string, now: number): Promise<Interval[]> {
  const rows = await reader
    .selectFrom('contract_history')
    .select(['at', 'from_state', 'to_state'])
    .where('contract_id', '=', contractId)
    .where((where) => where.or([where('from_state', '=', 'paused'), where('to_state', '=', 'paused')]))
    .orderBy('version')
    .execute();
  const pauses: Interval[] = [];
  for (const row of rows) {
    const last = pauses.at(-1);
    if (row.to_state === 'paused') pauses.push({ fromAt: row.at, toAt: Math.max(now, row.at) });
    else if (last !== undefined) last.toAt = row.at;
  }
  return pauses;
}

/** When the newest record of an agent's chain was signed; null before its first. Nothing older comes after it. */
export async function findChainTime(reader: Reader, agentKey: string): Promise<number | null> {
  const { rows } = await sql<{ compact: string; received_at: number }>`
    select compact, received_at from records where agent_key = ${agentKey}
      order by seq desc limit 1`.execute(reader);
  const [newest] = rows;
  if (newest === undefined) return null;
  const payload = parseJws(newest.compact)?.payload as RecordPayload;
  return Math.min(Date.parse(payload.at), newest.received_at);
}

/** The maintenance that an agent announced: each time with the hash of its record, in order and without overlaps. */
export async function findMaintenance(reader: Reader, agentKey: string): Promise<Maintenance[]> {
  const rows = await reader
    .selectFrom('availability as a')
    .innerJoin('records as r', (join) =>
      join.onRef('r.agent_key', '=', 'a.agent_key').onRef('r.seq', '=', 'a.seq'),
    )
    .select(['a.seq', 'a.received_at', 'a.draining', 'a.maintenance_until_at', 'r.hash'])
    .where('a.agent_key', '=', agentKey)
    .orderBy('a.seq')
    .execute();
  const hashes = new Map(rows.map(({ seq, hash }) => [seq, hash]));
  const announcements = rows.map((row) => ({
    ...{ seq: row.seq, receivedAt: row.received_at, draining: row.draining === 1 },
    maintenanceUntil: row.maintenance_until_at,
  }));
  return announcedTimes(announcements)
    .filter(({ kind }) => kind === 'maintenance')
    .map(({ seq, from, to }) => ({
      ...{ fromAt: from, toAt: to ?? Number.MAX_SAFE_INTEGER, announcement: hashes.get(seq) ?? '' },
    }));
}
