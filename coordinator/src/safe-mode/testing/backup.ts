/** Backs up and restores the database of a test's market, as an operator does: the keys beside it stay. */
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import type { Market } from '../../testing/rental.ts';
import { startTestCoordinator } from '../../testing/test-coordinator.ts';

const databaseOf = ({ coordinator }: Market): string => join(coordinator.folder, 'coordinator.sqlite');

/** Copies the database as it is now. */
export async function backUp(market: Market): Promise<void> {
  const db = new BetterSqlite3(databaseOf(market), { readonly: true });
  await db.backup(`${databaseOf(market)}.backup`);
  db.close();
}

/**
 * Stops the coordinator, puts the copy in place, and starts another one on it. `keysToo`: as where a whole machine is
 * set back, so that no file beside the database is newer.
 */
export async function restore(market: Market, { keysToo }: { keysToo: boolean }): Promise<void> {
  const file = databaseOf(market);
  await market.coordinator.stop(0);
  if (keysToo) rmSync(join(market.coordinator.folder, 'coordinator.key.mark'), { force: true });
  for (const more of ['', '-wal', '-shm']) rmSync(`${file}${more}`, { force: true });
  copyFileSync(`${file}.backup`, file);
  await restart(market);
}

/** Starts another coordinator in the place of one that was stopped. */
export async function restart(market: Market): Promise<void> {
  const { folder, clock } = market.coordinator;
  await market.coordinator.stop(0);
  market.coordinator = await startTestCoordinator({ folder, clock });
  market.agent.coordinator = market.coordinator;
}

/** Writes into the database behind the coordinator's back. */
export function tamper(market: Market, sql: string, ...values: unknown[]): void {
  const db = new BetterSqlite3(databaseOf(market));
  db.pragma('foreign_keys = off');
  db.prepare(sql).run(...values);
  db.close();
}
