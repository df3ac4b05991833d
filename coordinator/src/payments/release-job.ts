/**
 * The release run: judges the time of every contract that is due, and books what it earned. A periodic job, in small
 * batches of one transaction each, between which rentals go on; a crash between two of them loses nothing.
 */
import { isAppError } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { nextTurn } from '../lib/system-clock.ts';
import { bookEarnings, decideEarnings, type Decision } from './book-earning.ts';
import { findDueEarnings, updateEarning, type EarningRow } from './earning-store.ts';
import { settleDecided } from './settlement.ts';

export const RELEASE_RUN_EVERY_MS = 60_000;
/** A few milliseconds of the database's only writer: whoever rents meanwhile waits for one batch at most. */
const BATCH = 25;
const TURNS_BETWEEN = 30;
/** Evidence that is late is looked for again after this, and so is a contract whose books do not fit. */
const LOOK_AGAIN_MS = 900_000;

/** Books all that is due; resolves with how many contracts were judged. Stops between two batches when aborted. */
export async function releaseEarnings(context: Context, signal: AbortSignal): Promise<number> {
  let judged = 0;
  for (let batch = BATCH; batch === BATCH && !signal.aborted; judged += batch) {
    batch = await releaseBatch(context);
    // A request takes several turns of the event loop: each must not wait for a batch of its own.
    for (let turn = 0; turn < TURNS_BETWEEN; turn += 1) await nextTurn();
  }
  return judged;
}

async function releaseBatch(context: Context): Promise<number> {
  try {
    return await context.db.write(async (trx) => {
      const due = await findDueEarnings(trx, context.clock.now(), BATCH);
      if (due.length > 0) await releaseRows(context, trx, due);
      return due.length;
    });
  } catch (error) {
    if (!isAppError(error, 'LEDGER_REFUSED')) throw error;
    return releaseOneByOne(context);
  }
}

/** One contract whose books do not fit must not hold up the others: it is put off and said so, for a person to look. */
async function releaseOneByOne(context: Context): Promise<number> {
  const due = await findDueEarnings(context.db.read, context.clock.now(), BATCH);
  for (const { contract } of due) {
    try {
      await context.db.write(async (trx) => {
        const row = await findDueEarning(trx, context.clock.now(), contract.id);
        if (row !== null) await releaseRows(context, trx, [row]);
      });
    } catch (error) {
      if (!isAppError(error, 'LEDGER_REFUSED')) throw error;
      context.log.error({ err: error, contract: contract.id }, 'a contract’s earnings cannot be booked');
      await context.db.write(async (trx) => {
        const row = await findDueEarning(trx, context.clock.now(), contract.id);
        if (row !== null)
          await updateEarning(trx, { ...row.earning, due_at: context.clock.now() + LOOK_AGAIN_MS });
      });
    }
  }
  return due.length;
}

async function findDueEarning(trx: Transaction, now: number, contractId: string): Promise<EarningRow | null> {
  const due = await findDueEarnings(trx, now, BATCH);
  return due.find(({ contract }) => contract.id === contractId) ?? null;
}

async function releaseRows(context: Context, trx: Transaction, due: readonly EarningRow[]): Promise<void> {
  const now = context.clock.now();
  const decisions = await decideEarnings(trx, due, { now, graceMs: context.config.earning.evidenceGraceMs });
  const running = decisions.filter(({ contract }) => contract.ended_at === null);
  await bookEarnings(
    context,
    trx,
    running.map((decision) => ({ ...decision, dueAt: dueAfter(context, decision, now) })),
    now,
  );
  for (const decision of decisions)
    if (decision.contract.ended_at !== null)
      await settleDecided(context, trx, decision, { now, lookAgainAt: now + LOOK_AGAIN_MS });
}

/** When a contract that goes on is judged next. */
function dueAfter({ config }: Context, { judgement }: Decision, now: number): number {
  const { releaseIntervalMs } = config.earning;
  return now + (judgement.isWaiting ? Math.min(LOOK_AGAIN_MS, releaseIntervalMs) : releaseIntervalMs);
}
