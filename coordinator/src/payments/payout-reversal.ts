/** What comes back of a payout after it was sent is owed again: all of it, or a part. */
import type { Money } from '@dc/shared/money/money';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { payoutReversed } from './ledger-payout.ts';
import { processorOf } from './payout-route.ts';
import { movePayout } from './payout-service.ts';
import { findPayoutBySent, freeReleases, updatePayout } from './payout-store.ts';

/**
 * Books what has come back of the transfer, as a sum from the beginning, so that saying it again changes nothing. False
 * where no payout has this reference.
 */
export async function applyReversal(
  context: Context,
  trx: Transaction,
  { reference, reversed }: { reference: string; reversed: Money },
): Promise<boolean> {
  const found = await findPayoutBySent(trx, reference);
  if (found === null) return false;
  const more = reversed.amountE9s - found.reversed_e9s;
  if (more <= 0n || found.state === 'failed') return true;
  // It arrived before it came back.
  const row = await movePayout(context, trx, found.id, { to: 'confirmed' });
  await context.ledger.append(
    trx,
    payoutReversed({
      cause: `${row.key}:reversed:${reversed.amountE9s}`,
      processor: processorOf(row.route),
      providerPubkey: row.provider_pubkey,
      amount: { amountE9s: more, currency: row.currency },
    }),
  );
  const isWhole = reversed.amountE9s >= row.amount_e9s;
  await updatePayout(trx, row, {
    reversed_e9s: reversed.amountE9s,
    ...(isWhole ? { state: 'failed', failure: 'It came back after it had arrived.' } : {}),
  });
  if (isWhole) await freeReleases(trx, row.id);
  return true;
}
