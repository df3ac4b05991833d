/** What Stripe's meter is told of charges for use: each at a minute of its own, so that one can be asked for. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  // Nothing ever wrote into the one of migration 0009.
  `drop table usage_reports`,
  `create table usage_reports (
    charge_id text not null primary key references usage_charges (id),
    customer_id text not null references stripe_customers (customer_id),
    event_at bigint not null check (event_at % 60000 = 0),
    sent_at bigint not null,
    reported_at bigint,
    unique (customer_id, event_at)
  )`,
];

/** Makes it. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
