import { describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import {
  atPrivateAddress,
  cancel,
  contractBecomes,
  look,
  moneyOf,
  settledMoney,
  sshKeyOf,
} from '../../testing/rental.ts';
import { until } from '../../testing/test-coordinator.ts';
import { balanceOf } from '../ledger-store.ts';
import { verifyLedger } from '../ledger-verify.ts';
import { accounts } from '../ledger.ts';
import type { Fault } from './testing/stripe-stand-in.ts';
import {
  openStripeMarket,
  paymentOf,
  PRICE,
  rentCaptured,
  sessionOf,
  type StripeMarket,
} from './testing/stripe-market.ts';

async function expectBooksAgree(market: StripeMarket): Promise<void> {
  const { db } = market.coordinator.context;
  const ours = -(await balanceOf(db.read, accounts.processor('stripe'), 'USD')).amountE9s;
  expect(ours).toBe(BigInt(market.standIn.books.holds('usd')) * 10_000_000n);
  expect((await verifyLedger(db)).firstProblem).toBeNull();
  expect(market.standIn.findings).toEqual([]);
}

describe('more time by Stripe', () => {
  it('has a checkout of its own, counts when it is paid, and is refunded from its own payment', async () => {
    const market = await openStripeMarket({ offering: { max_hours: 100 } });
    const { id } = await rentCaptured(market);
    const options = { key: market.renter, idempotencyKey: 'extend' };
    const asked = await market.coordinator.client.post<WireContract>(
      `/contracts/${id}/extend`,
      { hours: 20 },
      options,
    );
    expect(asked.status).toBe(200);
    const [extension] = asked.body.extensions ?? [];
    expect(extension).toMatchObject({ hours: 20, status: 'pending' });
    const checkout = { payment: { checkout_url: extension?.checkout_url ?? null } } as WireContract;
    const session = sessionOf(market, checkout);
    expect(session.amount_total).toBe(200);
    // Asked again, as after a lost answer: the same checkout.
    const again = await market.coordinator.client.post<WireContract>(
      `/contracts/${id}/extend`,
      { hours: 20 },
      options,
    );
    expect(again.body.extensions).toEqual(asked.body.extensions);
    const intent = market.standIn.books.pay(session.id);
    expect(intent.status).toBe('succeeded');
    await contractBecomes(market, id, ({ duration_hours }) => duration_hours === 30);
    expect(await moneyOf(market, id)).toMatchObject({ paid: 3n * PRICE });
    await expectBooksAgree(market);

    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status.endsWith('refunded'));
    await settledMoney(market, id);
    // The newest payment first, whole; the rest from the first one.
    const refunds = [...market.standIn.books.refunds.values()];
    expect(refunds.map(({ payment_intent }) => payment_intent)[0]).toBe(intent.id);
    expect(refunds[0]).toMatchObject({ amount: 200 });
    expect(refunds.length).toBe(2);
    await expectBooksAgree(market);
  });

  it('that is paid when the contract has ended goes back, and nothing else', async () => {
    const market = await openStripeMarket({ offering: { max_hours: 100 } });
    const { id } = await rentCaptured(market);
    const asked = await market.coordinator.client.post<WireContract>(
      `/contracts/${id}/extend`,
      { hours: 20 },
      { key: market.renter, idempotencyKey: 'extend' },
    );
    const url = asked.body.extensions?.[0]?.checkout_url ?? null;
    const session = sessionOf(market, { payment: { checkout_url: url } } as WireContract);
    market.standIn.deliverTo(null);
    const intent = market.standIn.books.pay(session.id);
    expect((await cancel(market, id)).status).toBe(200);
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    await until(
      () =>
        [...market.standIn.books.refunds.values()].some(({ payment_intent }) => payment_intent === intent.id),
      'the refund of the late payment',
    );
    await contractBecomes(market, id, ({ payment }) => payment.status.endsWith('refunded'));
    await settledMoney(market, id);
    await expectBooksAgree(market);
  });
});

/** A whole life with Stripe: rent, pay, deliver, take, cancel, refund. Time passes, so that what failed is repeated. */
async function live(market: StripeMarket): Promise<string> {
  const patiently = (isDone: () => Promise<boolean>, what: string): Promise<void> =>
    until(async () => {
      await market.coordinator.clock.advance(5_000);
      await market.agent.beat();
      return isDone();
    }, what);
  const { coordinator, renter, agent } = market;
  const body = {
    ...{ offering_id: market.offering.id, duration_hours: 10, payment_method: 'stripe' },
    ssh_public_key: sshKeyOf('renter'),
  };
  const { id } = (await coordinator.client.post<WireContract>('/contracts', body, { key: renter })).body;
  await patiently(async () => (await look(market, id)).payment.checkout_url !== null, 'the checkout');
  market.standIn.books.pay(sessionOf(market, await look(market, id)).id);
  await patiently(async () => (await look(market, id)).state === 'accepted', 'the payment');
  const lease = await agent.leaseOne();
  await agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  await patiently(async () => (await paymentOf(market, id))?.state === 'paid', 'the capture');
  expect((await cancel(market, id)).status).toBe(200);
  await patiently(async () => (await look(market, id)).payment.status.endsWith('refunded'), 'the refund');
  return id;
}

describe('a whole life', () => {
  // How many requests it makes of Stripe where nothing goes wrong: each of them fails once.
  const REQUESTS = 9;
  const LIFE_MS = 30_000;
  it.each(
    (['answer_lost', 'unavailable', 'rate_limited'] as const).flatMap((fault) =>
      Array.from({ length: REQUESTS }, (_, index): [Fault, number] => [fault, index + 1]),
    ),
  )(
    'ends with the same books when the fault %s meets request %i',
    async (fault, number) => {
      const market = await openStripeMarket();
      // What breaks off is repeated once by the library itself.
      const faults = fault === 'answer_lost' ? [fault, fault] : [fault];
      market.standIn.failFrom(number, faults);
      const id = await live(market);
      await settledMoney(market, id);
      const { books } = market.standIn;
      expect([books.sessions.size, books.intents.size]).toEqual([1, 1]);
      expect(books.refunds.size).toBeLessThanOrEqual(1);
      await expectBooksAgree(market);
    },
    LIFE_MS,
  );
});
