/** Reads whole sets of postings, a page at a time: for admins and exports. */
import type { Reader } from '../database/database.ts';
import type { PostingSet } from './ledger.ts';

/** A set as it is booked. */
export type BookedSet = Omit<PostingSet, 'kind'> & { id: string; at: number; kind: string };

/** Which sets, newest first; ids are UUIDv7, so that they sort by time. */
export interface LedgerFilter {
  contractId?: string | undefined;
  account?: string | undefined;
  before?: string | undefined;
  limit: number;
}

/** A page of sets, newest first. */
export async function listLedger(reader: Reader, filter: LedgerFilter): Promise<BookedSet[]> {
  let query = reader.selectFrom('ledger_sets').selectAll().orderBy('id', 'desc').limit(filter.limit);
  const { contractId, account, before } = filter;
  if (contractId !== undefined) query = query.where('contract_id', '=', contractId);
  if (before !== undefined) query = query.where('id', '<', before);
  if (account !== undefined)
    query = query.where('id', 'in', (sub) =>
      sub.selectFrom('ledger_postings').select('set_id').where('account', '=', account),
    );
  return withPostings(reader, await query.execute());
}

/** A page of sets in the order in which they were booked, after one of them. */
export async function readLedger(reader: Reader, afterId: string, limit: number): Promise<BookedSet[]> {
  const rows = await reader
    .selectFrom('ledger_sets')
    .selectAll()
    .where('id', '>', afterId)
    .orderBy('id')
    .limit(limit)
    .execute();
  return withPostings(reader, rows);
}

interface SetRow {
  id: string;
  cause: string;
  kind: string;
  contract_id: string | null;
  currency: string;
  at: number;
}

async function withPostings(reader: Reader, rows: readonly SetRow[]): Promise<BookedSet[]> {
  if (rows.length === 0) return [];
  const postings = await reader
    .selectFrom('ledger_postings')
    .select(['set_id', 'account', 'amount_e9s'])
    .where(
      'set_id',
      'in',
      rows.map(({ id }) => id),
    )
    .orderBy('set_id')
    .orderBy('line')
    .execute();
  const bySet = Map.groupBy(postings, (posting) => posting.set_id);
  return rows.map(({ contract_id: contractId, ...row }) => ({
    ...row,
    contractId,
    postings: (bySet.get(row.id) ?? []).map(({ account, amount_e9s: amountE9s }) => ({ account, amountE9s })),
  }));
}
