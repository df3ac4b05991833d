/**
 * A month of the ledger for accountants, as CSV: for each kind of account and currency what it held before, what moved
 * by which kind of booking, and what it held after. Opening, movements and closing add up, and every section of
 * movements sums to zero over all accounts, because every set of postings does.
 */
import { sql } from 'kysely';
import { AppError } from '@dc/shared/errors';
import type { Reader } from '../database/database.ts';
import { csvLine } from './csv.ts';

interface Row {
  account: string;
  currency: string;
  kind: string;
  postings: number;
  sum_e9s: bigint;
}

/** The beginning and the end of a month (UTC), in milliseconds. Throws REQUEST_INVALID for what is none. */
export function monthBounds(month: string): { fromAt: number; toAt: number } {
  const [, year, number] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month) ?? [];
  if (year === undefined || number === undefined)
    throw new AppError('REQUEST_INVALID', `${JSON.stringify(month)} is no month: write it like 2026-11.`, {
      fields: [{ pointer: '/query/month', detail: 'must be a month such as 2026-11' }],
    });
  return { fromAt: Date.UTC(Number(year), Number(number) - 1), toAt: Date.UTC(Number(year), Number(number)) };
}

/** The report, in one moment of the database. Reads the whole ledger up to the month's end once. */
export async function monthlyCsv(reader: Reader, month: string): Promise<string> {
  const { fromAt, toAt } = monthBounds(month);
  // Accounts by what they are; processors one by one, since each has a statement of its own to compare with.
  const { rows } = await sql<Row>`
    select case when substr(p.account, 1, 10) = 'processor:' or instr(p.account, ':') = 0 then p.account
             else substr(p.account, 1, instr(p.account, ':') - 1) end as account,
      p.currency, case when s.at < ${fromAt} then '' else s.kind end as kind,
      count(*) as postings, sum(p.amount_e9s) as sum_e9s
    from ledger_postings p join ledger_sets s on s.id = p.set_id
    where s.at < ${toAt} group by 1, 2, 3 order by 2, 1, 3`.execute(reader);
  const names = [...new Set(rows.map(({ account, currency }) => `${currency} ${account}`))];
  const lines = names.flatMap((name) => {
    const own = rows.filter(({ account, currency }) => `${currency} ${account}` === name);
    const [first] = own;
    if (first === undefined) return [];
    const line = (section: string, kind: string, postings: number, sumE9s: bigint): string =>
      csvLine([month, section, first.currency, first.account, kind, postings, sumE9s, decimal(sumE9s)]);
    const opening = own.find(({ kind }) => kind === '');
    const moved = own.filter(({ kind }) => kind !== '');
    const closingE9s = own.reduce((sum, row) => sum + row.sum_e9s, 0n);
    return [
      line('opening', '', opening?.postings ?? 0, opening?.sum_e9s ?? 0n),
      ...moved.map((row) => line('movement', row.kind, row.postings, row.sum_e9s)),
      line(
        'closing',
        '',
        own.reduce((sum, { postings }) => sum + postings, 0),
        closingE9s,
      ),
    ];
  });
  return (
    csvLine(['month', 'section', 'currency', 'account', 'kind', 'postings', 'amount_e9s', 'amount']) +
    lines.join('')
  );
}

/** Exact, with nine decimals. */
function decimal(amountE9s: bigint): string {
  const digits = String(amountE9s < 0n ? -amountE9s : amountE9s).padStart(10, '0');
  return `${amountE9s < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
