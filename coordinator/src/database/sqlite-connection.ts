/**
 * One better-sqlite3 handle as a Kysely connection: each SQL text is prepared once, integers survive the trip
 * whole, and only what both engines can hold is bound.
 *
 * INVARIANTS:
 * - A result column whose name ends in `_e9s` is a bigint, always; every other integer is a number, or an error.
 * - `undefined`, NaN and fractions beyond doubles never reach the database: better-sqlite3 would store NULL for them.
 */
import type BetterSqlite3 from 'better-sqlite3';
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';

/** More than the distinct queries of the program; bounded because SQL with lists of varying length is distinct too. */
const STATEMENTS_MAX = 500;

type Row = Record<string, unknown>;
type Statement = BetterSqlite3.Statement<unknown[], Row>;

/** Runs Kysely's queries on `handle`, synchronously. */
export class SqliteConnection implements DatabaseConnection {
  readonly #handle: BetterSqlite3.Database;
  /** In order of last use, so that the first entry is the one to let go. */
  readonly #statements = new Map<string, Statement>();

  constructor(handle: BetterSqlite3.Database) {
    this.#handle = handle;
    handle.defaultSafeIntegers(true);
  }

  /** Async so that a constraint violation is a rejection; the query itself has run when this returns. */
  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.#prepare(query.sql);
    const parameters = query.parameters.map(toBound);
    if (statement.reader) return { rows: statement.all(parameters).map(fromRow) as R[] };
    const { changes, lastInsertRowid } = statement.run(parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  /** An open cursor would pin the write-ahead log and block the statement: page by key instead. */
  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('queries are not streamed: read page by page');
  }

  #prepare(sqlText: string): Statement {
    const cached = this.#statements.get(sqlText);
    if (cached !== undefined) {
      this.#statements.delete(sqlText);
      this.#statements.set(sqlText, cached);
      return cached;
    }
    const statement = this.#handle.prepare<unknown[], Row>(sqlText);
    this.#statements.set(sqlText, statement);
    if (this.#statements.size > STATEMENTS_MAX) {
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    return statement;
  }
}

function toBound(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'bigint':
      return value;
    case 'boolean':
      return value ? 1n : 0n;
    case 'number':
      // As a bigint, because better-sqlite3 binds every number as a double, which a text column shows as "1.0".
      if (Number.isSafeInteger(value)) return BigInt(value);
      if (!Number.isFinite(value) || Number.isInteger(value)) break;
      return value;
    case 'object':
      if (value === null || value instanceof Uint8Array) return value;
      break;
    default:
  }
  throw new TypeError(
    `cannot store ${typeof value === 'number' ? value : `a value of type ${typeof value}`}`,
  );
}

function fromRow(row: Row): Row {
  for (const column in row) {
    const value = row[column];
    if (typeof value === 'bigint' && !column.endsWith('_e9s')) row[column] = toSafeNumber(column, value);
  }
  return row;
}

function toSafeNumber(column: string, value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw new RangeError(`the integer in ${column} is too large for a number`);
  return number;
}
