import { beforeEach, describe, expect, it } from 'vitest';
import { cancel, contractBecomes, HOUR_MS, look, pass, settledMoney } from '../../testing/rental.ts';
import { findRequestOf, listRequests, stateOf } from '../refund-gate-store.ts';
import { openStripeMarket, rentActive, rentCaptured, type StripeMarket } from './testing/stripe-market.ts';

const HOURLY = 10_000_000_000n;
const refunds = { perRefund: 50, perRenterADay: 1000, perDay: 1000, units: {} };

let market: StripeMarket;
beforeEach(async () => {
  const price = { amount_e9s: String(HOURLY), currency: 'USD' };
  market = await openStripeMarket({ offering: { price_per_hour: price } });
  market.coordinator.context.config.refunds = refunds;
});

/** A contract of a hundred dollars that was cancelled after an hour. */
async function cancelled(): Promise<{ id: string; intentId: string }> {
  const rented = await rentCaptured(market);
  await pass(market.coordinator, HOUR_MS - 1000);
  await cancel(market, rented.id);
  return rented;
}

describe('a refund of a card payment above the bound', () => {
  it('that somebody makes in Stripe’s dashboard meanwhile is seen, booked, and waits no more', async () => {
    const { id, intentId } = await cancelled();
    const { db } = market.coordinator.context;
    expect(await listRequests(db.read, { state: 'waiting', limit: 10 })).toHaveLength(1);
    market.standIn.books.refund({ payment_intent: intentId });
    await contractBecomes(market, id, ({ payment }) => payment.status !== 'succeeded');
    const [request] = await listRequests(db.read, { limit: 10 });
    expect(request === undefined ? null : stateOf(request)).toBe('settled');
    expect(await listRequests(db.read, { state: 'waiting', limit: 10 })).toEqual([]);
    expect((await look(market, id)).refund_approval).toBeNull();
    expect(await settledMoney(market, id)).toMatchObject({ refunded: 9n * HOURLY });
  });

  it('does not wait where the money was only authorised: that would lapse', async () => {
    const { id } = await rentActive(market);
    const { db } = market.coordinator.context;
    await db.write((trx) => trx.updateTable('payments').set({ state: 'authorised' }).execute());
    await cancel(market, id);
    expect(await findRequestOf(db.read, id)).toBeNull();
  });
});
