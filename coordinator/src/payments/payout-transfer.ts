/**
 * Sends payouts by themselves. What is asked for is written down first; asking again for the same is the same transfer
 * for a day. After that, and before the first time, the route is asked what it has made already: a new ask follows only
 * when it is certain that no earlier one can still move money.
 */
import { AppError } from '@dc/shared/errors';
import { fromWire } from '@dc/shared/money/money';
import type { WireCreatePayout } from '@dc/shared/wire/money';
import type { Context } from '../context.ts';
import { jsonFromColumn, jsonToColumn } from '../database/columns.ts';
import type { Transaction } from '../database/database.ts';
import { defineTopic } from '../jobs/outbox.ts';
import { assertActing } from '../safe-mode/safe-mode.ts';
import { destinationInForce } from './payout-destinations.ts';
import { isAutomatic, type PayoutRoute, type PayoutRoutes, type TransferAsk } from './payout-route.ts';
import { movePayout, requestPayout } from './payout-service.ts';
import { findPayout, isKnownTransfer, listKeys, updatePayout, type PayoutRow } from './payout-store.ts';
import { applyReversal } from './payout-reversal.ts';

/** Payouts to send; the key of the row is the payout's id. */
export const PAYOUT_TOPIC = defineTopic<Record<string, never>>('payment.payout');

/** Routes remember an ask for a day: one that is younger may be repeated, with a margin for the call itself. */
const REPEATED_MS = 23 * 3_600_000;
/** From here on an ask that is still on its way is refused for its age: a day, and how far clocks may differ. */
const DEAD_AFTER_MS = 25 * 3_600_000;

/** What the calls about payouts are made of. */
export interface PayoutParts {
  context: Context;
  routes: PayoutRoutes;
}

/**
 * Requests a payout as an admin asks for it. One of an automatic route goes to where its provider has said, and leaves
 * by itself. Throws PAYOUT_CONFLICT, PAYOUT_ROUTE_UNAVAILABLE, PAYOUT_DESTINATION_MISSING and REQUEST_INVALID.
 */
export async function requestAnyPayout(
  { context, routes }: PayoutParts,
  trx: Transaction,
  body: WireCreatePayout,
  admin: string,
): Promise<PayoutRow> {
  const method = body.route ?? 'manual';
  if (!isAutomatic(method)) return requestPayout(context, trx, body, admin);
  const route = routes.get(method);
  if (route === undefined)
    throw new AppError('PAYOUT_ROUTE_UNAVAILABLE', `The route ${method} is not configured.`);
  if (body.reference !== undefined || body.destination !== undefined)
    throw new AppError('REQUEST_INVALID', 'The route sends it by itself, to where the provider has said.', {
      fields: [{ pointer: '/body/route', detail: 'goes with neither a destination nor a reference' }],
    });
  const now = context.clock.now();
  const target = await destinationInForce(trx, { provider: body.provider_pubkey, route: method, now });
  if (target === null) throw new AppError('PAYOUT_DESTINATION_MISSING');
  const { pays, terms } = await route.quote(trx, fromWire(body.total), now);
  const row = await requestPayout(context, trx, { ...body, pays, destination: target.account }, admin);
  const transfer = { payout_id: row.id, terms: jsonToColumn(terms), asked_at: now };
  await trx.insertInto('payout_transfers').values(transfer).execute();
  await context.outbox.enqueue(trx, PAYOUT_TOPIC, { key: row.id, payload: {} });
  return row;
}

/** The outbox handler of PAYOUT_TOPIC. Idempotent; throws until the money has arrived or certainly will not move. */
export async function sendPayout(
  { context, routes }: PayoutParts,
  payoutId: string,
  signal: AbortSignal,
): Promise<void> {
  const { db } = context;
  const payout = await findPayout(db.read, payoutId);
  if (payout === null || payout.state === 'confirmed' || payout.state === 'failed') return;
  await assertActing(db.read);
  const route = routes.get(payout.route);
  if (route === undefined)
    throw new AppError('PAYOUT_ROUTE_UNAVAILABLE', `The route ${payout.route} is not configured any more.`);
  const attempt = await readAttempt(context, payout);
  const { ask } = attempt;
  const reference = payout.reference ?? (await ensureSent(context, route, attempt, signal));
  if (reference === null) return;
  const { hasArrived, reversed } = await route.look(ask, reference, signal);
  if (!hasArrived && reversed.amountE9s === 0n)
    throw new AppError('SERVICE_UNAVAILABLE', 'The payout has not arrived yet.');
  await db.write(async (trx) => {
    await movePayout(context, trx, payoutId, { to: 'confirmed' });
    await applyReversal(context, trx, { reference, reversed });
  });
}

interface Attempt {
  payout: PayoutRow;
  ask: TransferAsk;
  /** Whether it may have been asked for before. */
  isAsked: boolean;
}

async function readAttempt({ db }: Context, payout: PayoutRow): Promise<Attempt> {
  const row = await db.read
    .selectFrom('payout_transfers')
    .selectAll()
    .where('payout_id', '=', payout.id)
    .executeTakeFirstOrThrow();
  const ask: TransferAsk = {
    ...{ key: payout.key, provider: payout.provider_pubkey, destination: payout.destination ?? '' },
    amount: { amountE9s: payout.amount_e9s, currency: payout.currency },
    ...{ terms: jsonFromColumn(row.terms), askedAt: row.asked_at },
  };
  return { payout, ask, isAsked: row.is_asked === 1 };
}

/** Resolves with the transfer's reference; with null where the payout has failed for good. */
async function ensureSent(
  context: Context,
  route: PayoutRoute,
  { payout, ask, isAsked }: Attempt,
  signal: AbortSignal,
): Promise<string | null> {
  const fail = async (reason: string): Promise<null> => {
    await context.db.write((trx) => movePayout(context, trx, payout.id, { to: 'failed', reason }));
    return null;
  };
  const { own: made, stranger } = await findMade(context, route, ask, signal);
  if (made !== null) return noteSent(context, payout, made);
  if (stranger !== null && !isAsked) return fail(describeStranger(stranger));
  if (stranger !== null) throw new AppError('PAYOUT_TRANSFER_UNKNOWN', describeStranger(stranger));
  const fresh = await ensureFresh(context, payout, ask);
  if (!isAsked) await context.db.write((trx) => markAsked(trx, payout.id));
  const answer = await route.ask(fresh, signal);
  if (answer.outcome === 'sent') return noteSent(context, payout, answer.reference);
  // The answer to an earlier ask may have been lost: a refusal counts only when there is no transfer.
  const { own: lost } = await findMade(context, route, fresh, signal);
  if (lost !== null) return noteSent(context, payout, lost);
  const { reason } = answer;
  if (answer.outcome === 'refused') return fail(reason);
  await context.db.write(async (trx) => {
    await updatePayout(trx, payout, { failure: reason });
    // At a later time, so that it is another ask: the route may repeat its refusal to the same one.
    const now = Math.max(context.clock.now(), fresh.askedAt + 1);
    if (answer.isSpent) await renewAsk(trx, payout.id, { before: fresh.askedAt, now });
  });
  throw new AppError('SERVICE_UNAVAILABLE', `The payout waits: ${reason}`);
}

const describeStranger = (reference: string): string =>
  `The transfer ${reference} went to this provider, and no payout knows it: record it first, so that nothing is paid twice.`;

/**
 * The transfer of this payout, where there is one; and one to this provider that the books do not know, as after a
 * restored backup: paying on would pay twice.
 */
async function findMade(
  { db }: Context,
  route: PayoutRoute,
  ask: TransferAsk,
  signal: AbortSignal,
): Promise<{ own: string | null; stranger: string | null }> {
  const made = await route.made(ask, signal);
  const own = made.find(({ tag }) => tag === route.tagOf(ask.key))?.reference ?? null;
  const known = new Set((await listKeys(db.read, ask.provider)).map((key) => route.tagOf(key)));
  for (const { tag, reference } of own === null ? made : []) {
    if (tag !== null && !known.has(tag) && !(await isKnownTransfer(db.read, reference)))
      return { own, stranger: reference };
  }
  return { own, stranger: null };
}

/** Written down before the first ask: from then on nobody can say that nothing moved without asking. */
async function markAsked(trx: Transaction, payoutId: string): Promise<void> {
  await trx.updateTable('payout_transfers').set({ is_asked: 1 }).where('payout_id', '=', payoutId).execute();
}

async function noteSent(context: Context, payout: PayoutRow, reference: string): Promise<string> {
  await context.db.write((trx) => movePayout(context, trx, payout.id, { to: 'sent', reference }));
  return reference;
}

/** The ask as it may be made now. One that is too old to be repeated is renewed when it is too old to be carried out. */
async function ensureFresh(
  { db, clock }: Context,
  payout: PayoutRow,
  ask: TransferAsk,
): Promise<TransferAsk> {
  const now = clock.now();
  const ageMs = now - ask.askedAt;
  // A clock that was set back says nothing of the age: nothing is asked for in the future.
  if (ageMs < 0)
    throw new AppError('SERVICE_UNAVAILABLE', 'The payout was asked for in the future: the clock is wrong.');
  if (ageMs < REPEATED_MS) return ask;
  if (ageMs < DEAD_AFTER_MS)
    throw new AppError('SERVICE_UNAVAILABLE', 'The payout waits until what was asked for is forgotten.');
  // Nothing was found a moment ago, and what is dead cannot appear any more.
  if (!(await db.write((trx) => renewAsk(trx, payout.id, { before: ask.askedAt, now }))))
    throw new AppError('SERVICE_UNAVAILABLE', 'Another process asks for this payout.');
  return { ...ask, askedAt: now };
}

/** False where somebody was faster. */
async function renewAsk(
  trx: Transaction,
  payoutId: string,
  { before, now }: { before: number; now: number },
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('payout_transfers')
    .set({ asked_at: now })
    .where('payout_id', '=', payoutId)
    .where('asked_at', '=', before)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}
