/** Requests by itself what is owed to providers that have said where to: what an admin would do, once a day. */
import { isAppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import { destinationInForce } from './payout-destinations.ts';
import { listOwed, type Owed } from './payout-store.ts';
import { requestAnyPayout, type PayoutParts } from './payout-transfer.ts';

const PAGE = 100;
const UNIT_E9S = 1_000_000_000n;

/** Requests what is owed and is at least the minimum. Idempotent; what cannot be paid now is left for the next time. */
export async function requestPayouts(parts: PayoutParts, signal: AbortSignal): Promise<void> {
  const { context } = parts;
  const { minimum } = context.config.payouts;
  let after = { provider: '', currency: '' };
  for (;;) {
    signal.throwIfAborted();
    const page = await listOwed(context.db.read, { after, limit: PAGE });
    for (const owed of page)
      if (owed.total_e9s > 0n && owed.total_e9s >= BigInt(minimum) * UNIT_E9S) await requestOne(parts, owed);
    const last = page.at(-1);
    if (last === undefined) return;
    after = { provider: last.provider_pubkey, currency: last.currency };
  }
}

async function requestOne(parts: PayoutParts, owed: Owed): Promise<void> {
  const { context, routes } = parts;
  const { provider_pubkey, currency, through, total_e9s: amountE9s } = owed;
  const now = context.clock.now();
  for (const route of routes.keys()) {
    const place = { provider: provider_pubkey, route, now };
    if ((await destinationInForce(context.db.read, place)) === null) continue;
    const body = { provider_pubkey, through, total: toWire({ amountE9s, currency }), route };
    try {
      await context.db.write((trx) => requestAnyPayout(parts, trx, body, context.key.publicKey));
      return;
    } catch (error) {
      // Too little for this route, no rate now, or an admin was faster: the next time.
      const passes = ['PAYMENT_AMOUNT_UNSUPPORTED', 'TOKEN_RATE_STALE', 'PAYOUT_CONFLICT'] as const;
      if (!passes.some((code) => isAppError(error, code))) throw error;
    }
  }
}
