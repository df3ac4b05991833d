/** What sources say that tokens cost, and the rate that each payment in tokens was asked for at. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `create table rate_quotes (
    source text not null, token text not null, currency text not null,
    rate_e9s bigint check (rate_e9s > 0), at bigint, asked_at bigint not null, problem text, retry_at bigint not null,
    primary key (token, currency, source),
    check ((rate_e9s is null) = (at is null)))`,
  `create table payment_rates (
    payment_key text not null primary key references payments (key), contract_id text references contracts (id),
    token text not null, currency text not null, rate_e9s bigint not null check (rate_e9s > 0), at bigint not null,
    token_amount_e9s bigint not null check (token_amount_e9s > 0), sources text not null)`,
  `create index payment_rates_contract on payment_rates (contract_id) where contract_id is not null`,
  `create trigger payment_rates_no_update before update on payment_rates begin
    select raise(abort, 'payment_rates: append only'); end`,
];

/** Makes them. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
