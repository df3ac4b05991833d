/**
 * A counter that stands in the database and, a moment later, in a file beside the key. A database whose counter is
 * behind the file's was restored from a backup: known at the start, before any agent has said so. Where file and
 * database were restored together, only agents can tell.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { enterSafeMode } from './safe-mode.ts';

/** What was lost in the last minute before a backup was restored is for agents to notice. */
export const MARK_EVERY_MS = 60_000;
const MARK = 'mark';

const markFile = (keyFile: string): string => `${keyFile}.mark`;

/** Counts on: first in the database, then in the file, so that the file is never ahead by itself. */
export async function advanceMark({ db, config }: Context): Promise<void> {
  const mark = await db.write(async (trx) => {
    const next = (await readMark(trx)) + 1;
    await saveMark(trx, next);
    return next;
  });
  const file = markFile(config.keyFile);
  const draft = `${file}.draft`;
  // Without waiting for the disk: a file that lags behind says less, and nothing wrong.
  writeFileSync(draft, `${String(mark)}\n`, { mode: 0o600 });
  renameSync(draft, file);
}

/** At the start: enters the safe mode where the file is ahead of a database that has contracts. */
export async function checkMark(context: Context): Promise<void> {
  const inFile = readMarkFile(context.config.keyFile);
  await context.db.write(async (trx) => {
    const inDatabase = await readMark(trx);
    if (inFile <= inDatabase) return;
    if (await hasContracts(trx)) {
      const detail = `Its mark is ${String(inDatabase)}; the file beside the key says ${String(inFile)}: about that many minutes less are missing.`;
      await enterSafeMode(context, trx, { cause: 'mark_ahead', detail, agent_key: null, proof: null });
    } else await saveMark(trx, inFile);
  });
}

/** After a safe mode was resolved: this database is the one that counts from now on. */
export async function acceptMark({ config }: Context, trx: Transaction): Promise<void> {
  await saveMark(trx, Math.max(await readMark(trx), readMarkFile(config.keyFile)));
}

function readMarkFile(keyFile: string): number {
  const file = markFile(keyFile);
  const count = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  return Number.isSafeInteger(count) ? count : 0;
}

async function readMark(reader: Reader): Promise<number> {
  const row = await reader.selectFrom('meta').select('value').where('key', '=', MARK).executeTakeFirst();
  return Number(row?.value ?? 0);
}

async function saveMark(trx: Transaction, mark: number): Promise<void> {
  await trx
    .insertInto('meta')
    .values({ key: MARK, value: String(mark) })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: String(mark) }))
    .execute();
}

async function hasContracts(reader: Reader): Promise<boolean> {
  return (await reader.selectFrom('contracts').select('id').limit(1).executeTakeFirst()) !== undefined;
}
