/** Up to which epoch every lease of an order was handed back with nothing made. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `alter table work add column clean_epoch integer not null default 0 check (clean_epoch >= 0)`,
];

/** Adds the column. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
