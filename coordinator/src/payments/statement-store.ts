/** The SQL of statements: what a provider earned and was paid, what became of a contract's money. */
import { sql, type Selectable } from 'kysely';
import type { Reader } from '../database/database.ts';
import type { CreditsTable, ReleasesTable } from '../database/tables-money.ts';
import type { RefundsTable } from '../database/tables-refunds.ts';
import { listRests } from './payout-store.ts';

export type ReleaseRow = Selectable<ReleasesTable>;

/** A provider's money in one currency. */
export interface ProviderTotal {
  currency: string;
  /** Released in the period. */
  earnedE9s: bigint;
  releaseCount: number;
  /** Confirmed and on their way in the period. */
  paidOutE9s: bigint;
  inFlightE9s: bigint;
  /** Owed now, whenever it was earned. */
  payableE9s: bigint;
}

export interface StatementPeriod {
  provider: string;
  fromAt: number;
  /** Not included. */
  toAt: number;
}

/** The totals of a period, by currency. */
export async function sumStatement(
  reader: Reader,
  { provider, fromAt, toAt }: StatementPeriod,
): Promise<ProviderTotal[]> {
  const earned = await reader
    .selectFrom('releases')
    .select(['currency', sql<bigint>`sum(amount_e9s)`.as('sum_e9s'), sql<number>`count(*)`.as('releases')])
    .where('provider_pubkey', '=', provider)
    .where('at', '>=', fromAt)
    .where('at', '<', toAt)
    .groupBy('currency')
    .execute();
  const owed = await reader
    .selectFrom('releases')
    .select(['currency', sql<bigint>`sum(amount_e9s)`.as('sum_e9s')])
    .where('provider_pubkey', '=', provider)
    .where('payout_id', 'is', null)
    .groupBy('currency')
    .execute();
  const rests = (await listRests(reader, provider)).map(({ rest_e9s: sum_e9s, currency }) => ({
    currency,
    sum_e9s,
  }));
  const payouts = await reader
    .selectFrom('payouts')
    .select(['currency', 'state', sql<bigint>`sum(amount_e9s - reversed_e9s)`.as('sum_e9s')])
    .where('provider_pubkey', '=', provider)
    .where('requested_at', '>=', fromAt)
    .where('requested_at', '<', toAt)
    .groupBy(['currency', 'state'])
    .execute();
  const currencies = new Set([...earned, ...owed, ...payouts].map(({ currency }) => currency));
  const sumOf = (rows: readonly { currency: string; sum_e9s: bigint }[], currency: string): bigint =>
    rows.filter((row) => row.currency === currency).reduce((sum, row) => sum + row.sum_e9s, 0n);
  return [...currencies].toSorted().map((currency) => ({
    currency,
    earnedE9s: sumOf(earned, currency),
    releaseCount: earned.find((row) => row.currency === currency)?.releases ?? 0,
    paidOutE9s: sumOf(
      payouts.filter(({ state }) => state === 'confirmed'),
      currency,
    ),
    inFlightE9s: sumOf(
      payouts.filter(({ state }) => state === 'requested' || state === 'sent'),
      currency,
    ),
    payableE9s: sumOf([...owed, ...rests], currency),
  }));
}

/** The releases of a period, newest first, before one of them. */
export function listReleases(
  reader: Reader,
  { provider, fromAt, toAt }: StatementPeriod,
  { before, limit }: { before: number; limit: number },
): Promise<ReleaseRow[]> {
  return reader
    .selectFrom('releases')
    .selectAll()
    .where('provider_pubkey', '=', provider)
    .where('at', '>=', fromAt)
    .where('at', '<', toAt)
    .where('seq', '<', before)
    .orderBy('seq', 'desc')
    .limit(limit)
    .execute();
}

/** What became of a contract's money, line by line, in order. */
export interface ContractLines {
  releases: ReleaseRow[];
  credits: CreditsTable[];
  refunds: RefundsTable[];
}

export async function listContractLines(reader: Reader, contractId: string): Promise<ContractLines> {
  const releases = await reader
    .selectFrom('releases')
    .selectAll()
    .where('contract_id', '=', contractId)
    .orderBy('seq')
    .execute();
  const credits = await reader
    .selectFrom('credits')
    .selectAll()
    .where('contract_id', '=', contractId)
    .orderBy('from_at')
    .execute();
  const refunds = await reader
    .selectFrom('refunds')
    .selectAll()
    .where('contract_id', '=', contractId)
    .orderBy('created_at')
    .execute();
  return { releases, credits, refunds };
}
