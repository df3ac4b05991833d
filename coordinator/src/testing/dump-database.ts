/** What is in a database, for proving that a refused request has changed nothing. */
import { sql } from 'kysely';
import type { Reader } from '../database/database.ts';

/** Spent nonces are no effect: a refused request spends its own (I11). Signals and periodic jobs come and go. */
const LEFT_OUT = new Set(['nonces', 'signals', 'migrations', 'sqlite_sequence']);

/** Every row of every table as text, by table. */
export async function dumpDatabase(reader: Reader): Promise<Record<string, string[]>> {
  const tables = await sql<{ name: string }>`
    select name from sqlite_master where type = 'table' order by name`.execute(reader);
  const dump: Record<string, string[]> = {};
  for (const { name } of tables.rows) {
    if (LEFT_OUT.has(name)) continue;
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(reader);
    dump[name] = rows
      .filter((row) => !(name === 'outbox' && String(row['topic']).startsWith('every:')))
      .map((row) =>
        JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)),
      );
  }
  return dump;
}
