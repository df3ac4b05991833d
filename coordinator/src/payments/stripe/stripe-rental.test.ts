import { describe, expect, it } from 'vitest';
import {
  cancel,
  contractBecomes,
  look,
  moneyOf,
  pass,
  reaches,
  rent,
  settledMoney,
} from '../../testing/rental.ts';
import { until } from '../../testing/test-coordinator.ts';
import {
  openStripeMarket,
  paymentOf,
  PRICE,
  rentActive,
  rentByStripe,
  rentCaptured,
  type StripeMarket,
} from './testing/stripe-market.ts';

const HOUR_MS = 3_600_000;

/** Nothing of what passed between us and Stripe contradicts its published description. */
function expectNoFindings({ standIn }: StripeMarket): void {
  expect(standIn.findings).toEqual([]);
}

describe('a rental paid with Stripe', () => {
  it('names the checkout in the first answer, and is provisioned once the card is authorised', async () => {
    const market = await openStripeMarket();
    const { id, session } = await rentByStripe(market);
    expect(await look(market, id)).toMatchObject({
      state: 'requested',
      payment: { method: 'stripe', status: 'pending' },
    });
    expect(session).toMatchObject({
      amount_total: 100,
      currency: 'usd',
      client_reference_id: `contract:${id}`,
    });
    market.standIn.books.pay(session.id);
    const paid = await reaches(market, id, 'accepted');
    expect(paid.payment).toEqual({ method: 'stripe', status: 'succeeded', checkout_url: null });
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    expect(market.standIn.books.intent(session.payment_intent ?? '').status).toBe('requires_capture');
    expectNoFindings(market);
  });

  it('is captured when delivery is verified, and not before', async () => {
    const market = await openStripeMarket();
    const { id, intentId } = await rentActive(market);
    await until(async () => (await paymentOf(market, id))?.state === 'paid', 'the capture');
    expect(market.standIn.books.intent(intentId)).toMatchObject({
      status: 'succeeded',
      amount_received: 100,
    });
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE });
    expectNoFindings(market);
  });

  it('that is not delivered gives the authorisation up: nothing was ever taken', async () => {
    const market = await openStripeMarket();
    const { id, session } = await rentByStripe(market);
    const intent = market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(market.standIn.books.intent(intent.id)).toMatchObject({ status: 'canceled', amount_received: 0 });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
    expect(market.standIn.books.refunds.size).toBe(0);
    expectNoFindings(market);
  });

  it('that is cancelled half-way refunds what was not used, in whole cents', async () => {
    const market = await openStripeMarket();
    const { id } = await rentCaptured(market);
    await pass(market.coordinator, 5 * HOUR_MS);
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'partially_refunded');
    const refunds = [...market.standIn.books.refunds.values()];
    expect(refunds).toMatchObject([{ amount: 49, status: 'succeeded' }]);
    const { refunded } = await settledMoney(market, id);
    // What is less than a cent went to the wallet.
    const wallet = await market.coordinator.client.get<{ balances: { amount_e9s: string }[] }>('/wallet', {
      key: market.renter,
    });
    expect(BigInt(wallet.body.balances[0]?.amount_e9s ?? '0')).toBe(refunded - 490_000_000n);
    expectNoFindings(market);
  });

  it('that was cancelled between delivery and capture is taken and refunded, each once', async () => {
    const market = await openStripeMarket();
    const { id, intentId } = await rentActive(market);
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status.endsWith('refunded'));
    await settledMoney(market, id);
    const { amount_received } = market.standIn.books.intent(intentId);
    const back = [...market.standIn.books.refunds.values()].reduce((sum, { amount }) => sum + amount, 0);
    expect(amount_received - back).toBeLessThanOrEqual(1);
  });
});

describe('events', () => {
  it('that are lost are made up for by asking: the sweep', async () => {
    const market = await openStripeMarket({ delivers: false });
    const { id, session } = await rentByStripe(market);
    market.standIn.books.pay(session.id);
    expect((await look(market, id)).payment.status).toBe('pending');
    await market.coordinator.clock.advance(95_000);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'succeeded');
  });

  it('that come late, twice, and in any order change nothing more', async () => {
    const market = await openStripeMarket({ delivers: false });
    const { id, session } = await rentByStripe(market);
    market.standIn.books.pay(session.id);
    const events = [...market.standIn.events].reverse();
    for (const event of [...events, ...events, ...market.standIn.events])
      expect(await market.standIn.send(event, market.deliver)).toBe(200);
    await reaches(market, id, 'accepted');
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
  });

  it('that come before the answer of the request that made the checkout are understood', async () => {
    const market = await openStripeMarket({ delivers: false });
    // The library tries once more by itself where a connection breaks.
    market.standIn.faults.push('answer_lost', 'answer_lost');
    const { id } = await rent(market, { payment_method: 'stripe' });
    const [session] = [...market.standIn.books.sessions.values()];
    expect(await look(market, id)).toMatchObject({ payment: { checkout_url: null } });
    market.standIn.books.pay(session?.id ?? '');
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    await reaches(market, id, 'accepted');
    await market.coordinator.clock.advance(15_000);
    expect(market.standIn.books.sessions.size).toBe(1);
  });
});
