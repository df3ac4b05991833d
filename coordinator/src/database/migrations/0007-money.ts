/**
 * The whole chart of accounts: the rule that says which accounts there are moves from a CHECK, which SQLite can only
 * change by making the table anew, into the triggers.
 */
import type { Transaction } from '../database.ts';
import { LEDGER_TRIGGERS, ledgerTriggers } from './0007-ledger-rules.ts';
import { runStatements } from './migration.ts';

// Without its triggers for a moment, in one transaction: nobody else sees the table between.
const WIDENED_POSTINGS: readonly string[] = [
  ...LEDGER_TRIGGERS.map(({ name }) => `drop trigger ${name}`),
  `create table ledger_postings_wide (
    set_id text not null,
    line integer not null,
    account text not null,
    amount_e9s bigint not null check (amount_e9s <> 0),
    currency text not null,
    primary key (set_id, line),
    foreign key (set_id, currency) references ledger_sets (id, currency)
  )`,
  `insert into ledger_postings_wide select set_id, line, account, amount_e9s, currency from ledger_postings`,
  `drop table ledger_postings`,
  `alter table ledger_postings_wide rename to ledger_postings`,
  `create index ledger_postings_account on ledger_postings (account, currency, amount_e9s)`,
  ...ledgerTriggers('sqlite'),
];

/** Changes the tables. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, WIDENED_POSTINGS);
}
