import { beforeEach, describe, expect, it } from 'vitest';
import { openUsageMarket, rentMetered, report, session, startOf } from '../usage/testing/usage-market.ts';
import { loginText } from '@dc/shared/wire/account';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import {
  openStripeMarket,
  rentByStripe,
  rentCaptured,
  type StripeMarket,
} from '../payments/stripe/testing/stripe-market.ts';

let market: StripeMarket;
beforeEach(async () => {
  market = await openStripeMarket({ delivers: false });
});

const HOST = '127.0.0.1:8787';

async function signIn(key: SigningKey): Promise<string> {
  const { client } = market.coordinator;
  const asked = await client.post<{ challenge: string }>('/sessions/challenge', {
    public_key: key.publicKey,
  });
  const { challenge } = asked.body;
  const signature = key.sign(Buffer.from(loginText(HOST, challenge))).toString('hex');
  const answer = await client.post('/sessions', { public_key: key.publicKey, challenge, signature });
  return String(answer.headers['set-cookie']).split(';')[0] ?? '';
}

async function show(url: string, cookie = ''): Promise<{ status: number; text: string; location: unknown }> {
  const headers = { host: HOST, accept: 'text/html', ...(cookie === '' ? {} : { cookie }) };
  const answer = await market.coordinator.app.inject({ method: 'GET', url, headers });
  return { status: answer.statusCode, text: answer.payload, location: answer.headers.location };
}

describe('the pages of payments', () => {
  it('offer what is configured, and the wallet with what it holds', async () => {
    const { text } = await show(`/offerings/${market.offering.id}`, await signIn(market.renter));
    expect(text).toContain('You pay at Stripe and come back here.');
    expect(text).toContain('It is empty.');
    expect(text).toContain('name="refund_to"');
  });

  it('lead from the contract to its checkout until it is paid', async () => {
    const cookie = await signIn(market.renter);
    const { id, session } = await rentByStripe(market);
    expect((await show(`/contracts/${id}`, cookie)).text).toContain(`href="${session.url ?? '?'}"`);
    market.standIn.books.pay(session.id);
    const back = await show(`/pay/return?payment=contract%3A${id}&cancelled=1`);
    expect(back).toMatchObject({ location: `/contracts/${id}` });
    const paid = (await show(`/contracts/${id}`, cookie)).text;
    expect(paid).toContain('Paid. Waiting for the provider');
    expect(paid).not.toContain('/checkout/');
  });

  it('do not believe the address that one comes back to', async () => {
    const { id } = await rentByStripe(market);
    expect(await show(`/pay/return?payment=contract%3A${id}&status=paid`)).toMatchObject({
      location: `/contracts/${id}`,
    });
    expect((await show(`/contracts/${id}`, await signIn(market.renter))).text).toContain('Pay now');
    for (const payment of [
      '',
      'contract%3Ax',
      'contract%3A01993b5e-0000-7000-8000-000000000001',
      '%2F%2Fevil.example',
    ])
      expect((await show(`/pay/return?payment=${payment}`)).status).toBe(404);
  });

  it('show a wallet to its owner alone', async () => {
    expect(await show('/wallet')).toMatchObject({ location: '/login?next=/wallet' });
    const { text } = await show('/wallet', await signIn(market.renter));
    expect(text).toContain('Nothing yet.');
    expect(text).toContain('Card and more (Stripe)');
  });

  it('show the operator what waits, with what to do, and nobody else', async () => {
    const event = market.standIn.makeEvent('refund.created', {
      ...{ id: 're_<b>', object: 'refund', amount: 5, currency: 'usd', status: 'succeeded' },
      ...{ payment_intent: 'pi_foreign', charge: 'ch_foreign', metadata: {} },
    });
    await market.standIn.send(event, market.deliver);
    const cookie = await signIn(market.renter);
    expect((await show('/admin', cookie)).status).toBe(404);
    expect(await show('/admin')).toMatchObject({ location: '/login?next=/admin' });
    const { context } = market.coordinator;
    await context.db.write((trx) =>
      trx
        .updateTable('accounts')
        .set({ is_admin: 1 })
        .where('pubkey', '=', market.renter.publicKey)
        .execute(),
    );
    const { status, text } = await show('/admin', cookie);
    expect(status).toBe(200);
    expect((await show('/', cookie)).text).toContain('href="/admin"');
    expect(text).toContain(event.id);
    expect(text).toContain('No dispute is open.');
    expect(text).toContain('that belongs to no payment of ours');
  });

  it('show the operator the refunds that wait, and their renter since when', async () => {
    market.coordinator.context.config.refunds = { perRefund: 0, perRenterADay: 0, perDay: 0, units: {} };
    market.standIn.deliverTo(market.deliver);
    const { id } = await rentCaptured(market);
    await market.coordinator.client.post(`/contracts/${id}/cancel`, {}, { key: market.renter });
    const cookie = await signIn(market.renter);
    expect((await show(`/contracts/${id}`, cookie)).text).toMatch(
      /of your refund waits for approval<\/b> since\s+<time/,
    );
    await market.coordinator.context.db.write((trx) =>
      trx.updateTable('accounts').set({ is_admin: 1 }).execute(),
    );
    const { text } = await show('/admin', cookie);
    expect(text).toContain('Refunds that wait for your approval');
    expect(text).toContain(`/contracts/${id}`);
    expect(text).toContain('data-decide="decline"');
  });

  it('show a renter their invoices, what stands on them, and what of a limit is reached', async () => {
    market.standIn.deliverTo(market.deliver);
    expect(await show('/invoices')).toMatchObject({ location: '/login?next=/invoices' });
    const { client } = market.coordinator;
    const limits = { limits: [{ amount_e9s: '2000000000', currency: 'USD' }] };
    await client.put('/spending/limits', limits, { key: market.renter });
    const { id } = await rentCaptured(market);
    const cookie = await signIn(market.renter);
    expect((await show(`/contracts/${id}`, cookie)).text).toContain(`href="/invoices?contract=${id}"`);
    const { text } = await show(`/invoices?contract=${id}`, cookie);
    expect(text).toContain('Invoice INV-2026-000001');
    expect(text).toContain('href="/api/v1/invoices/INV-2026-000001/pdf"');
    expect(text).toContain('50 % of your limit is reached');
    expect((await show('/invoices?cursor=x', cookie)).status).toBe(200);
    const other = await show('/invoices?contract=01993b5e-0000-7000-8000-000000000001', cookie);
    expect(other.text).toContain('None yet.');
  });
});

describe('the pages of an offering that charges for use', () => {
  it('say what it costs, ask for a cap, and show what was used', async () => {
    const used = await openUsageMarket();
    market = { ...market, coordinator: used.coordinator };
    const cookie = await signIn(used.renter);
    expect((await show('/')).text).toContain('0.02 USD for each hour of use beyond 10 in 30 days');
    const order = (await show(`/offerings/${used.offering.id}`, cookie)).text;
    expect(order).toContain('name="usage_cap"');
    const contract = await rentMetered(used);
    const { id } = contract;
    used.coordinator.clock.jump(20 * 3_600_000);
    await report(used, id, [session('s', startOf(contract), 12 * 3_600_000)]);
    const { text } = await show(`/contracts/${id}`, cookie);
    expect(text).toContain('12 hours');
    expect(text).toContain('0.04 USD');
    expect(text).toContain('never more than');
  });

  it('show a provider its month, and nobody else', async () => {
    const { provider, coordinator } = market;
    const path = `/providers/${provider.key.publicKey}/statement`;
    expect((await show(path)).location).toBe(`/login?next=/providers/${provider.key.publicKey}`);
    expect((await show(path, await signIn(market.renter))).status).toBe(404);
    const cookie = await signIn(provider.key);
    const { text } = await show(`${path}?month=2026-12`, cookie);
    expect(text).toContain('Statement of 2026-12');
    expect(text).toContain('month=2027-01');
    expect(text).toContain('statement.csv?from=2026-12-01T00:00:00.000Z');
    const month = new Date(coordinator.clock.now()).toISOString().slice(0, 7);
    expect((await show(`${path}?month=x`, cookie)).text).toContain(`Statement of ${month}`);
    expect((await show(`/providers/${provider.key.publicKey}`, cookie)).text).toContain(
      'Earnings and payouts',
    );
  });
});
