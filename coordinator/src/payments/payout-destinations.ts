/**
 * Where providers want their money. A change is seen at once and counts only after a cooling time, so that whoever got
 * hold of a provider's key for an hour cannot lead its money away unseen.
 */
import { newUuid } from '@dc/shared/ids';
import type { Selectable } from 'kysely';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import type { PayoutDestinationsTable } from '../database/tables-money.ts';

export type DestinationRow = Selectable<PayoutDestinationsTable>;

/** Every destination that a provider ever set, newest first; at most 100. */
export function listDestinations(reader: Reader, provider: string): Promise<DestinationRow[]> {
  return reader
    .selectFrom('payout_destinations')
    .selectAll()
    .where('provider_pubkey', '=', provider)
    .orderBy('id', 'desc')
    .limit(100)
    .execute();
}

/** The one that money goes to now; null where there is none yet. */
export async function destinationInForce(
  reader: Reader,
  { provider, route, now }: { provider: string; route: string; now: number },
): Promise<DestinationRow | null> {
  const row = await reader
    .selectFrom('payout_destinations')
    .selectAll()
    .where('provider_pubkey', '=', provider)
    .where('route', '=', route)
    .where('usable_at', '<=', now)
    .where('withdrawn_at', 'is', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ?? null;
}

/**
 * Sets it: usable after the cooling time, and what waits for that is withdrawn. Naming the one in force again takes a
 * change back at once.
 */
export async function setDestination(
  context: Pick<Context, 'clock' | 'random' | 'config'>,
  trx: Transaction,
  { provider, route, account }: { provider: string; route: string; account: string },
): Promise<DestinationRow> {
  const now = context.clock.now();
  await trx
    .updateTable('payout_destinations')
    .set({ withdrawn_at: now })
    .where('provider_pubkey', '=', provider)
    .where('route', '=', route)
    .where('usable_at', '>', now)
    .where('withdrawn_at', 'is', null)
    .execute();
  const current = await destinationInForce(trx, { provider, route, now });
  if (current?.account === account) return current;
  const row: DestinationRow = {
    id: newUuid(context.clock, context.random),
    ...{ provider_pubkey: provider, route, account, set_at: now },
    usable_at: now + context.config.payouts.coolingMs,
    withdrawn_at: null,
  };
  await trx.insertInto('payout_destinations').values(row).execute();
  return row;
}
