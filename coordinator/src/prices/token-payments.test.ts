/** Payments in tokens, at rates that four exchanges agree on, or not: a whole coordinator and ICPay's stand-in. */
import { describe, expect, it } from 'vitest';
import type { WireTokenRate } from '@dc/shared/wire/rate';
import { intentOf, openIcpayMarket, type IcpayMarket } from '../payments/icpay/testing/icpay-market.ts';
import { PRICE } from '../payments/stripe/testing/stripe-market.ts';
import { atPrivateAddress, contractBecomes, look, reaches, rent, tryToRent } from '../testing/rental.ts';
import { until } from '../testing/test-coordinator.ts';
import { EXCHANGE_NAMES, type ExchangeName } from './exchange-formats.ts';
import type { ExchangeMood } from './testing/exchange-stand-in.ts';

const LIMITS = { maxAgeMs: 600_000 };
const OTHERS: readonly ExchangeName[] = ['kraken', 'binance', 'coingecko'];

async function rateOf({ coordinator }: IcpayMarket): Promise<WireTokenRate> {
  const { body } = await coordinator.client.get<{ items: WireTokenRate[] }>('/rates');
  const [rate] = body.items;
  if (rate === undefined) throw new Error('there is no rate');
  return rate;
}

/** Changes how exchanges answer, and waits until the coordinator has asked all that it may ask. */
async function change(
  market: IcpayMarket,
  names: readonly ExchangeName[],
  mood: Partial<ExchangeMood>,
): Promise<void> {
  market.exchanges.set(names, mood);
  await askAgain(market);
}

async function askAgain(market: IcpayMarket, ms = 70_000): Promise<void> {
  const { coordinator } = market;
  const before = coordinator.clock.now();
  coordinator.clock.jump(ms);
  await coordinator.clock.advance(1000);
  await until(async () => {
    const rows = await coordinator.context.db.read.selectFrom('rate_quotes').selectAll().execute();
    return rows.every(({ asked_at, retry_at }) => asked_at > before || retry_at > coordinator.clock.now());
  }, 'the sources');
  // The agent went on beating meanwhile.
  await market.agent.beat();
}

async function rentPageOf({ coordinator, offering }: IcpayMarket): Promise<string> {
  const headers = { host: '127.0.0.1:8787', accept: 'text/html' };
  return (await coordinator.app.inject({ url: `/offerings/${offering.id}`, headers })).payload;
}

const tokens = (market: IcpayMarket) => tryToRent(market, { payment_method: 'icpay' });

describe('a rental that is paid in a token', () => {
  it('keeps the rate and its sources for ever', async () => {
    const market = await openIcpayMarket({ prices: LIMITS });
    await change(market, ['coinbase'], { price: '5.02' });
    const { id, payment } = await rent(market, { payment_method: 'icpay' });
    // The median of 5, 5, 5 and 5.02.
    expect(payment.token_price).toMatchObject({
      ...{ token: 'ICP', rate_e9s: '5000000000', amount_e9s: String(PRICE / 5n) },
      sources: [
        { source: 'coinbase', rate_e9s: '5020000000' },
        { source: 'kraken', rate_e9s: '5000000000' },
        { source: 'binance', rate_e9s: '5000000000' },
        { source: 'coingecko', rate_e9s: '5000000000' },
      ],
    });
    await change(market, EXCHANGE_NAMES, { price: '7' });
    expect((await rateOf(market)).rate_e9s).toBe('7000000000');
    market.standIn.pay(intentOf(payment.checkout_url));
    await reaches(market, id, 'accepted');
    expect((await look(market, id)).payment.token_price).toEqual(payment.token_price);
    const { db } = market.coordinator.context;
    await expect(
      db.write((trx) => trx.updateTable('payment_rates').set({ rate_e9s: 1n }).execute()),
    ).rejects.toThrow('append only');
  });

  it('is not opened where ICPay asks for much more than the exchanges say, and nothing is owed', async () => {
    const market = await openIcpayMarket({ prices: LIMITS });
    await change(market, EXCHANGE_NAMES, { price: '5.5' });
    const { id, payment } = await rent(market, { payment_method: 'icpay' });
    const after = await contractBecomes(market, id, ({ state }) => state === 'cancelled');
    expect(after.payment).toMatchObject({ status: 'failed', checkout_url: null });
    expect(payment.checkout_url).toBeNull();
    const row = await market.coordinator.context.db.read
      .selectFrom('payments')
      .select('reason')
      .executeTakeFirst();
    expect(row?.reason).toMatch(/ICPay asks for [0-9.]+ ICP, and at the exchanges it is [0-9.]+ ICP/);
  });
});

describe('one exchange that', () => {
  it.each<[string, Partial<ExchangeMood>]>([
    ['says something absurd', { price: '5000' }],
    ['says nothing', { price: '0' }],
    ['is down', { status: 500 }],
    ['hangs up', { fault: 'reset' }],
    ['answers in another shape', { text: '{"data":{"amount":"5.00"}}' }],
    ['sells old prices', { ageMs: 700_000 }],
    ['is of the future', { ageMs: -700_000 }],
  ])('%s changes nothing', async (_name, mood) => {
    const market = await openIcpayMarket({ prices: LIMITS });
    market.exchanges.set(['coinbase'], mood);
    await askAgain(market, 660_000);
    const rate = await rateOf(market);
    expect(rate).toMatchObject({ usable: true, rate_e9s: '5000000000' });
    expect(rate.quotes.map(({ used }) => used)).toEqual([false, true, true, true]);
    expect((await tokens(market)).status).toBe(201);
  });
});

describe('where too few exchanges agree', () => {
  it('token payments stop with a reason, nothing is kept, the rest goes on, and they come back', async () => {
    const market = await openIcpayMarket({ prices: LIMITS });
    const { coordinator, renter } = market;
    market.exchanges.set(OTHERS, { status: 503 });
    await askAgain(market, 660_000);
    expect(await rateOf(market)).toMatchObject({ usable: false, rate_e9s: null });
    const refused = await tokens(market);
    expect(refused).toMatchObject({ status: 503, body: { code: 'TOKEN_RATE_STALE' } });
    expect(refused.text).toContain('kraken: ');
    expect(refused.text).toContain('Pay in another way');
    expect(refused.text).not.toContain('127.0.0.1');
    const topUp = await coordinator.client.post(
      '/wallet/top-ups',
      { amount: { amount_e9s: '5000000000', currency: 'USD' }, payment_method: 'icpay' },
      { key: renter, idempotencyKey: 'top-up' },
    );
    expect(topUp).toMatchObject({ status: 503, body: { code: 'TOKEN_RATE_STALE' } });
    const { db } = coordinator.context;
    expect(await db.read.selectFrom('contracts').select('id').execute()).toEqual([]);
    expect(await db.read.selectFrom('payments').select('key').execute()).toEqual([]);
    // What is not paid in tokens is refused for its own reasons only.
    expect(await tryToRent(market, { payment_method: 'wallet' })).toMatchObject({
      body: { code: 'WALLET_TOO_LOW' },
    });
    const page = await rentPageOf(market);
    expect(page).toContain('Not now: what ICP costs is not known well enough.');
    expect(page).toMatch(/value="icpay"\s+disabled/);
    await change(market, OTHERS, {});
    expect((await tokens(market)).status).toBe(201);
    expect(await rentPageOf(market)).toContain('1 ICP is 5.00 USD now.');
  });

  it('those that do not agree are none', async () => {
    const market = await openIcpayMarket({ prices: LIMITS });
    market.exchanges.set(['coinbase', 'kraken'], { price: '4' });
    market.exchanges.set(['binance', 'coingecko'], { price: '6' });
    await askAgain(market);
    expect(await tokens(market)).toMatchObject({ status: 503, body: { code: 'TOKEN_RATE_STALE' } });
  });

  it('an extension in tokens waits as well', async () => {
    const market = await openIcpayMarket({ prices: LIMITS });
    const { id, payment } = await rent(market, { payment_method: 'icpay' });
    market.standIn.pay(intentOf(payment.checkout_url));
    await reaches(market, id, 'accepted');
    const lease = await market.agent.leaseOne();
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    await reaches(market, id, 'active');
    market.exchanges.set(EXCHANGE_NAMES, { fault: 'reset' });
    await askAgain(market, 660_000);
    const answer = await market.coordinator.client.post(
      `/contracts/${id}/extend`,
      { hours: 1 },
      { key: market.renter, idempotencyKey: 'more' },
    );
    expect(answer).toMatchObject({ status: 503, body: { code: 'TOKEN_RATE_STALE' } });
  });
});

describe('an exchange that limits us', () => {
  it('is left alone for as long as it says', async () => {
    const market = await openIcpayMarket({ prices: LIMITS });
    await change(market, ['kraken'], { status: 429, retryAfterS: 300 });
    const asked = () => market.exchanges.asked.filter((path) => path.startsWith('kraken')).length;
    const before = asked();
    await askAgain(market);
    await askAgain(market);
    expect(asked()).toBe(before);
    market.exchanges.set(['kraken'], {});
    await askAgain(market, 200_000);
    await until(async () => (await rateOf(market)).quotes[1]?.used === true, 'the source');
    expect(asked()).toBeGreaterThan(before);
  });
});
