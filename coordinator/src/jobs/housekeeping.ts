/** Forgets what nobody can ask for any more, a little at a time, so that no write waits for it. */
import type { Context } from '../context.ts';
import { pruneSessions } from '../accounts/session-store.ts';
import { forgetBoxes } from '../credentials/credential-store.ts';
import type { Transaction } from '../database/database.ts';
import { pruneAnswers } from '../http/idempotency.ts';
import { pruneNonces } from '../http/principal-store.ts';
import { forgetDays } from '../payments/refund-gate-store.ts';
import { pruneDone } from './outbox.ts';
import { Signals } from './signals.ts';

/** Rows of one kind in one write: a few milliseconds. */
const ROWS_MAX = 2_000;
/** Done rows stay so long, so that the same work is not enqueued twice. */
const OUTBOX_KEEP_MS = 7 * 24 * 60 * 60 * 1000;

/** The sums of what was refunded on a day; only today's is asked for. */
const DAYS_KEEP_MS = 7 * 24 * 60 * 60 * 1000;

/** Deletes in steps until nothing is left or `signal` aborts. */
export async function pruneExpired(context: Context, signal: AbortSignal): Promise<void> {
  const { db, clock } = context;
  const now = clock.now();
  const steps: ((trx: Transaction) => Promise<number>)[] = [
    (trx) => pruneNonces(trx, now, ROWS_MAX),
    (trx) => pruneAnswers(trx, now, ROWS_MAX),
    (trx) => forgetBoxes(trx, now, ROWS_MAX),
    (trx) => forgetDays(trx, new Date(now - DAYS_KEEP_MS).toISOString().slice(0, 10), ROWS_MAX),
    (trx) => pruneDone(trx, now - OUTBOX_KEEP_MS, ROWS_MAX),
  ];
  for (const step of steps) {
    while (!signal.aborted && (await db.write(step)) === ROWS_MAX);
  }
  await db.write(async (trx) => {
    await pruneSessions(trx, now);
    await Signals.prune(trx, now);
  });
}
