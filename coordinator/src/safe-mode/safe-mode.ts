/**
 * The safe mode: on when the database turns out not to know what this coordinator once signed (an older backup was
 * restored), or holds an order that it never made. While it is on nothing is sold, ordered, ended or paid: whatever
 * is done on the word of such a database may destroy what somebody has paid for. What agents report is kept, and
 * acted upon once an admin has resolved it. docs/decisions/safe-mode.md says what goes on and why.
 */
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { sql } from 'kysely';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { findSafeMode, insertSafeMode, oldestKnownUntil, type SafeModeRow } from './safe-mode-store.ts';

/** How soon whoever was refused may ask again. */
const RETRY_AFTER_MS = 30_000;

/** Why it is entered. */
export type SafeModeCause = Pick<SafeModeRow, 'cause' | 'detail' | 'agent_key' | 'proof'>;

/** Throws COORDINATOR_SAFE_MODE while it is on. Before anything that sells, orders, ends or pays. */
export async function assertActing(reader: Reader): Promise<void> {
  if ((await findSafeMode(reader)) === null) return;
  throw new AppError('COORDINATOR_SAFE_MODE', undefined, { retryAfterMs: RETRY_AFTER_MS });
}

/** Turns it on, once. It stays on, over restarts, until it is resolved. */
export async function enterSafeMode(context: Context, trx: Transaction, why: SafeModeCause): Promise<void> {
  const { clock, random, log } = context;
  const row: SafeModeRow = {
    ...why,
    id: newUuid(clock, random),
    entered_at: clock.now(),
    known_until_at: Math.min(await newestKnownAt(trx), (await oldestKnownUntil(trx)) ?? Infinity),
    resolved_at: null,
  };
  if (!(await insertSafeMode(trx, row))) return;
  trx.afterCommit(() => {
    const { cause, detail, agent_key: agent } = why;
    log.error({ cause, detail, agent }, 'safe_mode.entered');
  });
}

/** The time of the newest thing that the database knows of: what agents did before it is no news. */
async function newestKnownAt(reader: Reader): Promise<number> {
  const { rows } = await sql<{ at: number }>`
    select max(coalesce((select max(at) from contract_history), 0),
      coalesce((select max(received_at) from records), 0)) as at`.execute(reader);
  return rows[0]?.at ?? 0;
}
