import BetterSqlite3 from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { SqliteConnection } from './database/sqlite-connection.ts';
import { kyselyOn } from './database/sqlite-dialect.ts';
const handle = new BetterSqlite3(':memory:');
handle.exec('create table t (id text primary key, a_e9s bigint, n bigint, s text, m text)');
const connection = new SqliteConnection(handle);
const ours = new Kysely<any>(kyselyOn({ provideConnection: (consumer) => consumer(connection) }));
const h2 = new BetterSqlite3(':memory:');
h2.exec('create table t (id text primary key, a_e9s bigint, n bigint, s text, m text)');
const theirs = new Kysely<any>({ dialect: new SqliteDialect({ database: h2 }) });
for (const [name, db] of [['ours', ours], ['theirs', theirs], ['ours', ours], ['theirs', theirs]] as const) {
  const N = 20000;
  await db.deleteFrom('t').execute();
  let t = performance.now();
  for (let i = 0; i < N; i++) await db.insertInto('t').values({ id: 'k' + i, a_e9s: 5n, n: i, s: 'hello', m: null }).execute();
  const ins = ((performance.now() - t) / N) * 1000;
  t = performance.now();
  for (let i = 0; i < N; i++) await db.selectFrom('t').selectAll().where('id', '=', 'k' + i).executeTakeFirst();
  const sel = ((performance.now() - t) / N) * 1000;
  console.log(name, 'insert µs', ins.toFixed(1), 'select µs', sel.toFixed(1));
}
let t = performance.now();
for (let i = 0; i < 20000; i++) ours.insertInto('t').values({ id: 'k' + i, a_e9s: 5n, n: i, s: 'hello', m: null }).compile();
console.log('compile only', ((performance.now() - t) / 20000) * 1000);
const st = h2.prepare('insert or replace into t values (?,?,?,?,?)');
t = performance.now();
for (let i = 0; i < 20000; i++) st.run(['k' + i, 5n, i, 'hello', null]);
console.log('raw', ((performance.now() - t) / 20000) * 1000);
