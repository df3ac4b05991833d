/**
 * Kysely over a better-sqlite3 handle that somebody else opens, closes and runs transactions on. What Kysely's own
 * SQLite dialect gets wrong for us is its adapter (it says that DDL is not transactional), its integers (it loses
 * bits) and its speed (it prepares every query again).
 */
import {
  DefaultQueryExecutor,
  DummyDriver,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { CompiledQuery, ConnectionProvider, Dialect, KyselyProps, QueryResult } from 'kysely';

/** SQLite's DDL is transactional; where Kysely believes otherwise, a failed migration stays half done. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** What a statement's text has for a value. */
export const PLACEHOLDER = '+?';

/**
 * Writes `+?` for a parameter, which means the same. SQLite looks at the value of a bare `?` when it plans, for one in
 * an equality beside an ORDER BY and for a LIMIT; then it plans the statement again each time a value is bound, which
 * costs more than to run it. What only a partial index can serve says its constant with `sql.lit`.
 */
class StablePlanCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return PLACEHOLDER;
  }
}

/** SQLite's SQL. It has no driver of its own: connections come from whoever makes the Kysely. */
export const sqliteDialect: Dialect = {
  createDriver: () => new DummyDriver(),
  createQueryCompiler: () => new StablePlanCompiler(),
  createAdapter: () => new TransactionalSqliteAdapter(),
  createIntrospector: (db) => new SqliteIntrospector(db),
};

const compiler = sqliteDialect.createQueryCompiler();
const adapter = sqliteDialect.createAdapter();
const driver = sqliteDialect.createDriver();

/** Hands a query to its connection, and that is all: there are no plugins, and nobody gives a query a signal. */
class DirectExecutor extends DefaultQueryExecutor {
  readonly #connections: ConnectionProvider;

  constructor(connections: ConnectionProvider) {
    super(compiler, adapter, connections);
    this.#connections = connections;
  }

  override executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#connections.provideConnection((connection) => connection.executeQuery<R>(query));
  }
}

/** What `new Kysely(…)` and `new Transaction(…)` take, for queries that run on `connections`. Cheap: once a write. */
export function kyselyOn(connections: ConnectionProvider): KyselyProps {
  const executor = new DirectExecutor(connections);
  return { config: { dialect: sqliteDialect }, dialect: sqliteDialect, driver, executor };
}
