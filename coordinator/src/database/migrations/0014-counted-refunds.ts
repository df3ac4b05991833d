/** How much of a refund had gone back by hand before it was decided, or in a time that the database does not know. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  // Null until it was counted: then it is never counted again.
  `alter table refunds add column by_hand_e9s bigint check (by_hand_e9s between 0 and amount_e9s)`,
];

/** Adds the column. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
