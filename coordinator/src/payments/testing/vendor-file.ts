/** A vendor whose books are a file of their own, for programs of tests: it moves money once for each key. */
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';

/** When everything of that test happens: three hours after its contracts became active. */
export const CANCELLED_AT = Date.parse('2026-11-20T15:00:00.000Z');

export interface Vendor {
  /** Moves money unless the key moved it before; throws when that was another amount. */
  move(key: string, amountE9s: bigint): void;
  /** Says that a process is there; how many are. */
  arrive(process: string): number;
  /** What was moved, by key. */
  books(): Map<string, bigint>;
  close(): void;
}

export function openVendor(folder: string): Vendor {
  const db = new BetterSqlite3(join(folder, 'vendor.sqlite'), { timeout: 60_000 });
  db.pragma('journal_mode = wal');
  db.defaultSafeIntegers(true);
  db.exec('create table if not exists moved (key text primary key, amount_e9s integer not null)');
  db.exec('create table if not exists arrived (process text primary key)');
  const insert = db.prepare('insert or ignore into moved values (?, ?)');
  const find = db.prepare<[string], { amount_e9s: bigint }>('select amount_e9s from moved where key = ?');
  return {
    move(key, amountE9s) {
      insert.run(key, amountE9s);
      if (find.get(key)?.amount_e9s !== amountE9s) throw new Error(`${key} was moved with another amount`);
    },
    arrive(process) {
      db.prepare('insert or ignore into arrived values (?)').run(process);
      return Number(db.prepare('select count(*) from arrived').pluck().get());
    },
    books: () =>
      new Map(
        (db.prepare('select key, amount_e9s from moved').raw().all() as [string, bigint][]).map(
          ([key, amountE9s]) => [key, amountE9s],
        ),
      ),
    close: () => void db.close(),
  };
}
