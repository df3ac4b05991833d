/** The SQL of rates: the last that each source said, and the rates at which payments were asked for. */
import type { Reader, Transaction } from '../database/database.ts';
import type { PaymentRatesTable, RateQuotesTable } from '../database/tables-prices.ts';
import type { Pair } from './rate-source.ts';

/** What each source said of a pair. */
export function listQuotes(reader: Reader, { token, currency }: Pair): Promise<RateQuotesTable[]> {
  return reader
    .selectFrom('rate_quotes')
    .selectAll()
    .where('token', '=', token)
    .where('currency', '=', currency)
    .orderBy('source')
    .execute();
}

/** Keeps what a source said last. */
export async function saveQuote(trx: Transaction, row: RateQuotesTable): Promise<void> {
  const { source: _source, token: _token, currency: _currency, ...said } = row;
  await trx
    .insertInto('rate_quotes')
    .values(row)
    .onConflict((conflict) => conflict.columns(['token', 'currency', 'source']).doUpdateSet(said))
    .execute();
}

export async function insertPaymentRate(trx: Transaction, row: PaymentRatesTable): Promise<void> {
  await trx.insertInto('payment_rates').values(row).execute();
}

/** The rate of a payment; null where it is not paid in a token. */
export async function findPaymentRate(reader: Reader, paymentKey: string): Promise<PaymentRatesTable | null> {
  const query = reader.selectFrom('payment_rates').selectAll().where('payment_key', '=', paymentKey);
  return (await query.executeTakeFirst()) ?? null;
}
