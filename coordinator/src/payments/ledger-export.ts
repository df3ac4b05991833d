/**
 * The ledger for other programs, set by set: CSV for spreadsheets, a journal for hledger. Pure; what is exported is
 * read a page at a time.
 *
 * In the ledger a posting is positive where it puts value into an account that we owe; hledger counts the other way
 * round, so that what processors hold for us is positive there, as accountants want it.
 */
import { csvField } from './csv.ts';
import type { BookedSet } from './ledger-page.ts';

export type ExportFormat = 'csv' | 'hledger';
export const EXPORT_FORMATS: readonly ExportFormat[] = ['csv', 'hledger'];

/** What comes before the first set. */
export function exportHead(format: ExportFormat): string {
  return format === 'csv'
    ? 'set_id,at,cause,kind,contract_id,line,account,amount_e9s,currency'
    : '; Exported by dc-coordinator admin ledger export. Amounts have nine decimals: nothing is rounded.\n';
}

/** One set, as lines without the last line break. */
export function exportSet(set: BookedSet, format: ExportFormat): string {
  return format === 'csv' ? toCsv(set) : toHledger(set);
}

function toCsv(set: BookedSet): string {
  const at = new Date(set.at).toISOString();
  return set.postings
    .map(({ account, amountE9s }, index) =>
      [
        set.id,
        at,
        set.cause,
        set.kind,
        set.contractId ?? '',
        String(index + 1),
        account,
        String(amountE9s),
        set.currency,
      ]
        .map(csvField)
        .join(','),
    )
    .join('\n');
}

/** Where each kind of account stands in an accountant's tree. */
const HLEDGER_TREE: Readonly<Record<string, string>> = {
  processor: 'assets:processor',
  dispute_withdrawn: 'assets:dispute_withdrawn',
  payment_fees: 'expenses:payment_fees',
  platform_revenue: 'income:platform_revenue',
};

function toHledger(set: BookedSet): string {
  const at = new Date(set.at).toISOString();
  const head = `${at.slice(0, 10)} ${set.kind} | ${set.cause.replaceAll(/[|;\n\r]/g, ' ')}  ; set:${set.id}, at:${at.slice(11)}`;
  const lines = set.postings.map(
    ({ account, amountE9s }) =>
      `    ${hledgerAccount(account)}  ${decimal(-amountE9s)} ${commodity(set.currency)}`,
  );
  return `${[head, ...lines].join('\n')}\n`;
}

function hledgerAccount(account: string): string {
  const [kind = '', ...name] = account.split(':');
  return [HLEDGER_TREE[kind] ?? `liabilities:${kind}`, ...name].join(':');
}

/** hledger takes a commodity with digits in it only in quotes. */
const commodity = (currency: string): string => (/[0-9]/.test(currency) ? `"${currency}"` : currency);

function decimal(amountE9s: bigint): string {
  const digits = String(amountE9s < 0n ? -amountE9s : amountE9s).padStart(10, '0');
  return `${amountE9s < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
