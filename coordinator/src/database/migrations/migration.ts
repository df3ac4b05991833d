/** What a migration is. */
import { sql } from 'kysely';
import type { Transaction } from '../database.ts';

/** One step of the schema. It never changes once it is released: mend it with the next one. */
export interface Migration {
  /** `0001-what-it-does`: names sort in the order in which they run. */
  readonly name: string;
  /** Changes the schema within `trx`; when it throws, nothing has happened. */
  up(trx: Transaction): Promise<void>;
}

/** Runs SQL statements one after the other. They are part of the program, never made from input. */
export async function runStatements(trx: Transaction, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(trx);
}
