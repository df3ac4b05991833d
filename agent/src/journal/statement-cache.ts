/** Prepares each SQL text once. */
import type { Database, Statement } from 'better-sqlite3';

/**
 * A parameter that is compared, or a LIMIT. Behind a plus it means the same, but SQLite does not look at its value when
 * it plans: it would plan the statement again each time a value is bound, which costs more than to run it.
 */
const PARAMETER = /((?:[=<>]|LIMIT) )([?:])/g;

export class StatementCache {
  readonly #db: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** The statement for `sql`, which is one of a fixed set of texts: values are always bound. */
  prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql.replaceAll(PARAMETER, '$1+$2'));
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
