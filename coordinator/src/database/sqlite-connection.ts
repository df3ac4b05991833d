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

interface Prepared {
  readonly statement: BetterSqlite3.Statement<unknown[], Row>;
  /** Whether it answers rows. */
  readonly isReader: boolean;
  /** Whether a column of them is a bigint, or may become one: then all integers come as such. */
  readonly hasAmounts: boolean;
}

/** Runs Kysely's queries on `handle`, synchronously. */
export class SqliteConnection implements DatabaseConnection {
  readonly #handle: BetterSqlite3.Database;
  /** In order of last use, where there are many, so that the first entry is the one to let go. */
  readonly #statements = new Map<string, Prepared>();

  constructor(handle: BetterSqlite3.Database) {
    this.#handle = handle;
    handle.defaultSafeIntegers(true);
  }

  /** Async so that a constraint violation is a rejection; the query itself has run when this returns. */
  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { statement, isReader, hasAmounts } = this.#prepare(query.sql);
    const parameters = query.parameters.map(toBound);
    if (isReader) {
      const rows = statement.all(parameters);
      rows.forEach(hasAmounts ? convertRow : checkRow);
      return { rows: rows as R[] };
    }
    const { changes, lastInsertRowid } = statement.run(parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  /** An open cursor would pin the write-ahead log and block the statement: page by key instead. */
  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('queries are not streamed: read page by page');
  }

  #prepare(sqlText: string): Prepared {
    const cached = this.#statements.get(sqlText);
    if (cached !== undefined) {
      // To keep the order costs as much as the rest: only where one may have to go soon.
      if (this.#statements.size > STATEMENTS_MAX / 2) {
        this.#statements.delete(sqlText);
        this.#statements.set(sqlText, cached);
      }
      return cached;
    }
    const statement = this.#handle.prepare<unknown[], Row>(sqlText);
    const isReader = statement.reader;
    // What a star stands for may change with the schema.
    const hasAmounts =
      isReader && (sqlText.includes('*') || statement.columns().some(({ name }) => isAmount(name)));
    // A bigint for each integer costs more than the row; a number shows by itself that it was too large for one.
    if (isReader && !hasAmounts) statement.safeIntegers(false);
    const prepared = { statement, isReader, hasAmounts };
    this.#statements.set(sqlText, prepared);
    if (this.#statements.size > STATEMENTS_MAX) {
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    return prepared;
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

const isAmount = (column: string): boolean => column.endsWith('_e9s');

function convertRow(row: Row): void {
  for (const column in row) {
    const value = row[column];
    if (typeof value !== 'bigint' || isAmount(column)) continue;
    row[column] = Number(value);
    if (!Number.isSafeInteger(row[column])) throw tooLarge(column);
  }
}

/** An integer that lost bits on its way is at least 2^53. */
function checkRow(row: Row): void {
  for (const column in row) {
    const value = row[column];
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
      throw tooLarge(column);
  }
}

const tooLarge = (column: string): RangeError =>
  new RangeError(`the integer in ${column} is too large for a number`);
