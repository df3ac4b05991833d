/** Holds documents against the ledger: numbers without gaps, sums that add up, and money that moved as they say. */
import { sql } from 'kysely';
import type { Reader } from '../database/database.ts';
import { bodyOf, sha256Of, type DocumentRow } from './document-store.ts';

const PAGE = 500;

/** The first document that does not add up, in one sentence; null where all do. */
export async function problemOfDocuments(reader: Reader): Promise<string | null> {
  const gap = await problemOfNumbers(reader);
  if (gap !== null) return gap;
  for (let after = ''; ;) {
    const page = await reader
      .selectFrom('documents')
      .selectAll()
      .where('number', '>', after)
      .orderBy('number')
      .limit(PAGE)
      .execute();
    const last = page.at(-1);
    if (last === undefined) return null;
    const moved = await movedBy(reader, after, last.number);
    for (const row of page) {
      const problem = problemOfDocument(row, moved.get(row.number) ?? 0n);
      if (problem !== null) return problem;
    }
    after = last.number;
  }
}

async function problemOfNumbers(reader: Reader): Promise<string | null> {
  const { rows } = await sql<{ series: string; first: number; last: number; count: number }>`
    select series, min(seq) as first, max(seq) as last, count(*) as count from (
      select series, seq from documents union all select series, seq from documents_forgotten)
    group by series order by series`.execute(reader);
  const gap = rows.find(({ first, last, count }) => first !== 1 || last !== count);
  return gap === undefined
    ? null
    : `The numbers of ${gap.series} have a gap: ${gap.count} up to ${gap.last}.`;
}

function problemOfDocument(row: DocumentRow, movedE9s: bigint): string | null {
  const name = `The document ${row.number}`;
  if (sha256Of(row.body) !== row.sha256) return `${name} is not what its hash says.`;
  const body = bodyOf(row);
  const sum = (of: 'net' | 'tax' | 'gross'): bigint =>
    body.lines.reduce((total, line) => total + BigInt(line[of]), 0n);
  const said = { net: row.net_e9s, tax: row.tax_e9s, gross: row.gross_e9s };
  for (const part of ['net', 'tax', 'gross'] as const)
    if (sum(part) !== said[part] || BigInt(body[part]) !== said[part])
      return `${name} says ${part} ${said[part]}, and its lines sum to ${sum(part)}.`;
  return movedE9s === row.gross_e9s
    ? null
    : `${name} is of ${row.gross_e9s}, and its postings moved ${movedE9s}.`;
}

/**
 * What the sets of each document moved between the renter and us, from `after` to `last`: through the processor where
 * it took part, else out of or into the wallet.
 */
async function movedBy(reader: Reader, after: string, last: string): Promise<Map<string, bigint>> {
  const { rows } = await sql<{ number: string; outside_e9s: bigint | null; wallet_e9s: bigint | null }>`
    select d.number,
      sum(case when substr(p.account, 1, 10) = 'processor:' then p.amount_e9s end) as outside_e9s,
      sum(case when substr(p.account, 1, 14) = 'renter_wallet:' then p.amount_e9s end) as wallet_e9s
    from document_sets d join ledger_sets s on s.cause = d.cause join ledger_postings p on p.set_id = s.id
    where d.number > ${after} and d.number <= ${last} group by s.id`.execute(reader);
  const moved = new Map<string, bigint>();
  for (const { number, outside_e9s: outside, wallet_e9s: wallet } of rows)
    moved.set(number, (moved.get(number) ?? 0n) - (outside ?? wallet ?? 0n));
  return moved;
}
