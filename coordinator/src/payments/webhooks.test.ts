import Stripe from 'stripe';
import { beforeEach, describe, expect, it } from 'vitest';
import { dumpDatabase } from '../testing/dump-database.ts';
import { makeAccount } from '../testing/people.ts';
import { contractBecomes, look, moneyOf, pass, reaches } from '../testing/rental.ts';
import { openStripeMarket, PRICE, rentByStripe, type StripeMarket } from './stripe/testing/stripe-market.ts';
import type { Session } from './stripe/testing/stripe-books.ts';
import { assertBareSignature, assertTimedSignature } from './webhook-signature.ts';

let market: StripeMarket;
beforeEach(async () => {
  market = await openStripeMarket({ delivers: false });
});

async function keptEvents() {
  const { context, client } = market.coordinator;
  const key = await makeAccount(market.coordinator, 'boss');
  await context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', key.publicKey).execute(),
  );
  const { body } = await client.get<{ items: Record<string, unknown>[] }>('/admin/payment-events', { key });
  return { items: body.items, key };
}

/** A paid session's event, with its session changed. */
function paidEvent(session: Session, change: Record<string, unknown>): string {
  const object = {
    ...session,
    status: 'complete',
    payment_status: 'paid',
    payment_intent: 'pi_x',
    ...change,
  };
  return JSON.stringify(market.standIn.makeEvent('checkout.session.completed', object));
}

describe('a webhook', () => {
  it('is refused, and nothing is changed, without a signature of ours over these very bytes, now', async () => {
    const { session } = await rentByStripe(market);
    const body = paidEvent(session, {});
    const { standIn, deliver, coordinator } = market;
    const now = coordinator.clock.now();
    const good = standIn.sign(body);
    const before = await dumpDatabase(coordinator.context.db.read);
    const wrong: [string, string][] = [
      [body, ''],
      [body, 'v1=00'],
      [body, standIn.sign(body, now, 'whsec_another')],
      [body, standIn.sign(`${body} `)],
      [body, good.replace('v1=', 'v0=')],
      [body, standIn.sign(body, now - 301_000)],
      [body, standIn.sign(body, now + 301_000)],
      // The time is signed: an old signature does not get younger.
      [body, standIn.sign(body, now - 600_000).replace(/t=\d+/, `t=${String(Math.floor(now / 1000))}`)],
      [body, `t=1,${good}`],
      [`${body} `, good],
    ];
    for (const [payload, signature] of wrong)
      expect([signature, await deliver(payload, signature)]).toEqual([signature, 401]);
    expect(await deliver(body.slice(0, -9), good)).toBe(400);
    expect(await deliver('{}', standIn.sign('{}'))).toBe(400);
    expect(await deliver('[]', standIn.sign('[]'))).toBe(400);
    expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
    expect(await deliver(body, good)).toBe(200);
  });

  it('is taken at the edge of the window of time, and with one of several signatures', async () => {
    const { standIn, deliver, coordinator } = market;
    const now = coordinator.clock.now();
    for (const at of [now - 299_000, now + 299_000]) {
      const body = JSON.stringify(standIn.makeEvent('balance.available', { object: 'balance', at }));
      expect(await deliver(body, standIn.sign(body, at))).toBe(200);
    }
    const body = JSON.stringify(standIn.makeEvent('balance.available', { object: 'balance' }));
    const [, ours = ''] = standIn.sign(body).split(',v1=');
    const time = Math.floor(now / 1000);
    for (const header of [
      `t=${String(time)},v1=${'0'.repeat(64)},v1=${ours}`,
      `t=${String(time)},v1=${ours},v0=x`,
    ])
      expect(await deliver(body, header)).toBe(200);
  });

  it('that was taken changes nothing when it is replayed', async () => {
    const { id, session } = await rentByStripe(market);
    market.standIn.books.pay(session.id);
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    await reaches(market, id, 'accepted');
    const before = await dumpDatabase(market.coordinator.context.db.read);
    for (const event of market.standIn.events)
      expect(await market.standIn.send(event, market.deliver)).toBe(200);
    expect(await dumpDatabase(market.coordinator.context.db.read)).toEqual(before);
  });

  it.each([
    ['less', { amount_total: 99 }],
    ['more', { amount_total: 101 }],
    ['nothing', { amount_total: 0 }],
    ['a negative amount', { amount_total: -100 }],
    ['an absurd amount', { amount_total: Number.MAX_SAFE_INTEGER }],
    ['another currency', { currency: 'eur' }],
    ['an amount of no size', { amount_total: null }],
  ])('that says that %s was paid pays nothing, and is kept for a person', async (_name, change) => {
    const { id, session } = await rentByStripe(market);
    const body = paidEvent(session, change);
    expect(await market.deliver(body, market.standIn.sign(body))).toBe(200);
    expect(await look(market, id)).toMatchObject({ state: 'requested', payment: { status: 'pending' } });
    expect(await moneyOf(market, id)).toMatchObject({ paid: 0n });
    const { items, key } = await keptEvents();
    expect(items).toMatchObject([{ outcome: 'mismatch', payment: `contract:${id}` }]);
    const { method, id: eventId } = items[0] as { method: string; id: string };
    const dismissed = await market.coordinator.client.post(
      `/admin/payment-events/${method}/${eventId}/dismiss`,
      {},
      { key },
    );
    expect(dismissed.status).toBe(200);
    expect(
      (await market.coordinator.client.get<{ items: [] }>('/admin/payment-events', { key })).body.items,
    ).toEqual([]);
  });

  it('that says that a session is complete and unpaid pays nothing: the money is waited for', async () => {
    const { id, session } = await rentByStripe(market);
    const body = paidEvent(session, { payment_status: 'unpaid', payment_intent: null });
    expect(await market.deliver(body, market.standIn.sign(body))).toBe(200);
    expect((await look(market, id)).payment.status).toBe('pending');
    expect(await moneyOf(market, id)).toMatchObject({ paid: 0n });
  });

  it('about what nobody knows is answered with success, kept and shown', async () => {
    const { standIn, deliver } = market;
    const refund = {
      ...{ id: 're_foreign', object: 'refund', amount: 5, currency: 'usd', status: 'succeeded' },
      ...{ payment_intent: 'pi_foreign', charge: 'ch_foreign', metadata: {} },
    };
    const event = standIn.makeEvent('refund.created', refund);
    expect(await standIn.send(event, deliver)).toBe(200);
    expect(await standIn.send(event, deliver)).toBe(200);
    const { items } = await keptEvents();
    expect(items).toMatchObject([{ id: event.id, outcome: 'unknown', type: 'refund.created' }]);
  });

  it('of a kind that we do not handle is answered with success', async () => {
    const event = market.standIn.makeEvent('customer.created', { id: 'cus_1', object: 'customer' });
    expect(await market.standIn.send(event, market.deliver)).toBe(200);
    expect((await keptEvents()).items).toEqual([]);
  });

  it('that is paid by a bank counts when the bank has paid, and fails when it has not', async () => {
    market = await openStripeMarket({ stripe: { capture: 'at_once' } });
    const good = await rentByStripe(market);
    market.standIn.books.pay(good.session.id, 'bank');
    await market.coordinator.clock.advance(1_000);
    expect((await look(market, good.id)).state).toBe('requested');
    market.standIn.books.settle(good.session.id, 'paid');
    await reaches(market, good.id, 'accepted');
    expect(await moneyOf(market, good.id)).toMatchObject({ paid: PRICE });
    const slow = await rentByStripe(market);
    market.standIn.books.pay(slow.session.id, 'bank');
    await market.coordinator.clock.advance(1_000);
    // Days later: the place was kept.
    for (let day = 0; day < 3; day += 1) await pass(market.coordinator, 86_400_000);
    expect((await look(market, slow.id)).state).toBe('requested');
    market.standIn.books.settle(slow.session.id, 'paid');
    await contractBecomes(market, slow.id, ({ payment }) => payment.status === 'succeeded');
    await market.agent.beat();
    const bad = await rentByStripe(market);
    market.standIn.books.pay(bad.session.id, 'bank');
    market.standIn.books.settle(bad.session.id, 'failed');
    expect((await reaches(market, bad.id, 'cancelled')).payment.status).toBe('failed');
  });
});

describe('the check of signatures', () => {
  it('agrees with Stripe’s own library', () => {
    const payload = '{"id":"evt_1"}';
    const header = Stripe.webhooks.generateTestHeaderString({ payload, secret: 'whsec_1', timestamp: 1_000 });
    const at = { header, body: Buffer.from(payload), now: 1_000_000 };
    assertTimedSignature(at, ['whsec_0', 'whsec_1']);
    expect(() => assertTimedSignature(at, ['whsec_0'])).toThrow();
    expect(() => assertTimedSignature({ ...at, header: [header, header] }, ['whsec_1'])).toThrow();
  });

  it('takes a bare one only as the hex of this body', () => {
    const body = Buffer.from('{}');
    expect(() => assertBareSignature({ header: '00', body, now: 0 }, ['s'])).toThrow();
    expect(() => assertBareSignature({ header: undefined, body, now: 0 }, ['s'])).toThrow();
  });
});
