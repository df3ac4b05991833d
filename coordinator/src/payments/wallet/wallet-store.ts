/** What a wallet holds: the sum of its postings, in each currency. */
import { sql } from 'kysely';
import { makeMoney, type Money } from '@dc/shared/money/money';
import type { Reader } from '../../database/database.ts';
import { accounts } from '../ledger.ts';

/** The balances of an account's wallet, by currency; those that it never had are missing. */
export async function walletBalances(reader: Reader, account: string): Promise<Money[]> {
  const rows = await reader
    .selectFrom('ledger_postings')
    .select(['currency', sql<bigint>`sum(amount_e9s)`.as('sum_e9s')])
    .where('account', '=', accounts.renterWallet(account))
    .groupBy('currency')
    .orderBy('currency')
    .execute();
  return rows.map(({ currency, sum_e9s }) => makeMoney(sum_e9s, currency));
}
