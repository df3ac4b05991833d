/**
 * Payouts to providers: `requested → sent → confirmed`, or `failed`, which makes what it paid for owed again. A
 * payout has exactly the releases that its admin saw listed; nobody else's payout can have them as well.
 */
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { formatMoney, fromWire, type Money } from '@dc/shared/money/money';
import type { WireCreatePayout } from '@dc/shared/wire/money';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { payoutConfirmed, payoutFailed, payoutRequested } from './ledger-payout.ts';
import { processorOf } from './payout-route.ts';
import {
  countFailed,
  findPayout,
  findPayoutOf,
  freeReleases,
  insertPayout,
  markReleases,
  sumUnpaid,
  restOf,
  updatePayout,
  type PayoutRow,
  type ReleasesThrough,
} from './payout-store.ts';

/**
 * Requests a payout of what was listed; with a reference it has been sent already. `pays` is what its route can say of
 * that, where it is less. Throws PAYOUT_CONFLICT where the listing does not hold any more: somebody pays these
 * releases, or there is nothing to pay.
 */
export async function requestPayout(
  context: Context,
  trx: Transaction,
  body: WireCreatePayout & { pays?: Money },
  admin: string,
): Promise<PayoutRow> {
  const listed = fromWire(body.total);
  const { currency } = listed;
  const releases: ReleasesThrough = { provider: body.provider_pubkey, currency, through: body.through };
  const { totalE9s: releasesE9s, count } = await sumUnpaid(trx, releases);
  const totalE9s = releasesE9s + (await restOf(trx, releases));
  if (count === 0 || totalE9s !== listed.amountE9s || totalE9s <= 0n)
    throw await conflict(trx, releases, { totalE9s, count });
  const { amountE9s } = body.pays ?? listed;
  const now = context.clock.now();
  const attempt = (await countFailed(trx, releases)) + 1;
  const row: PayoutRow = {
    id: newUuid(context.clock, context.random),
    key: `payout:${releases.provider}:${currency}:${String(releases.through)}:${String(attempt)}`,
    provider_pubkey: releases.provider,
    currency,
    amount_e9s: amountE9s,
    release_count: count,
    route: body.route ?? 'manual',
    state: body.reference === undefined ? 'requested' : 'sent',
    destination: body.destination ?? null,
    reference: body.reference ?? null,
    failure: null,
    requested_by: admin,
    requested_at: now,
    sent_at: body.reference === undefined ? null : now,
    settled_at: null,
    releases_e9s: releasesE9s,
    reversed_e9s: 0n,
  };
  await insertPayout(trx, row);
  if ((await markReleases(trx, releases, row.id)) !== count)
    throw new Error('releases changed in a transaction');
  await context.ledger.append(
    trx,
    payoutRequested({
      cause: row.key,
      payoutId: row.id,
      providerPubkey: row.provider_pubkey,
      amount: { amountE9s, currency },
    }),
  );
  return row;
}

async function conflict(
  trx: Transaction,
  releases: ReleasesThrough,
  found: { totalE9s: bigint; count: number },
): Promise<AppError> {
  const remedy = 'List GET /api/v1/admin/payment-releases again, and pay what it shows then.';
  const other = await findPayoutOf(trx, releases);
  if (found.count === 0 && other !== null) {
    const at = new Date(other.requested_at).toISOString();
    return new AppError(
      'PAYOUT_CONFLICT',
      `The payout ${other.id} has these releases: ${other.requested_by} requested it at ${at}. Pay nothing twice.`,
      { remedy, extra: { payout_id: other.id } },
    );
  }
  const owed = formatMoney({ amountE9s: found.totalE9s, currency: releases.currency });
  return new AppError(
    'PAYOUT_CONFLICT',
    `Up to release ${String(releases.through)} this provider is owed ${owed} for ${String(found.count)} releases, which is not what the request says.`,
    { remedy },
  );
}

/** The steps of a payout's life; each may be said again. */
export type PayoutStep =
  { to: 'sent'; reference: string } | { to: 'confirmed' } | { to: 'failed'; reason: string };

/**
 * Moves a payout on. Saying again what was said changes nothing. Throws PAYOUT_NOT_FOUND and PAYOUT_STATE. `failed` is
 * for those of which it is certain that no money moved.
 */
export async function movePayout(
  context: Context,
  trx: Transaction,
  id: string,
  step: PayoutStep,
): Promise<PayoutRow> {
  const row = await findPayout(trx, id);
  if (row === null) throw new AppError('PAYOUT_NOT_FOUND');
  if (isSaidAgain(row, step)) return row;
  if (!ALLOWED_FROM[step.to].includes(row.state))
    throw new AppError('PAYOUT_STATE', `The payout is ${row.state}; it cannot become ${step.to}.`);
  const now = context.clock.now();
  const amount = { amountE9s: row.amount_e9s, currency: row.currency };
  const movement = { cause: `${row.key}:${step.to}`, payoutId: row.id, amount };
  if (step.to === 'sent')
    return moved(trx, row, { state: 'sent', reference: step.reference, failure: null, sent_at: now });
  if (step.to === 'confirmed') {
    await context.ledger.append(trx, payoutConfirmed({ ...movement, processor: processorOf(row.route) }));
    return moved(trx, row, { state: 'confirmed', failure: null, settled_at: now });
  }
  await context.ledger.append(trx, payoutFailed({ ...movement, providerPubkey: row.provider_pubkey }));
  await freeReleases(trx, row.id);
  return moved(trx, row, { state: 'failed', failure: step.reason, settled_at: now });
}

const ALLOWED_FROM: Readonly<Record<PayoutStep['to'], readonly PayoutRow['state'][]>> = {
  sent: ['requested'],
  confirmed: ['sent'],
  failed: ['requested', 'sent'],
};

function isSaidAgain(row: PayoutRow, step: PayoutStep): boolean {
  return row.state === step.to && (step.to !== 'sent' || step.reference === row.reference);
}

async function moved(trx: Transaction, row: PayoutRow, change: Partial<PayoutRow>): Promise<PayoutRow> {
  if (!(await updatePayout(trx, row, change)))
    throw new AppError('PAYOUT_STATE', 'The payout changed in the meantime.');
  return { ...row, ...change };
}
