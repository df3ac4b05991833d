import { beforeEach, describe, expect, it } from 'vitest';
import type { WireSpending } from '@dc/shared/wire/invoices';
import { expectStatus } from '../testing/people.ts';
import {
  cancel,
  HOUR_MS,
  openMarket,
  pass,
  rentUntilActive,
  settledMoney,
  tryToRent,
  type Market,
} from '../testing/rental.ts';

/** Ten hours at 0.01 USD. */
const PRICE = 100_000_000n;
const usd = (amountE9s: bigint) => ({ amount_e9s: String(amountE9s), currency: 'USD' });

let market: Market;
beforeEach(async () => {
  market = await openMarket({ offering: { places: 50 } });
});

async function allow(amountE9s: bigint): Promise<WireSpending> {
  const { client } = market.coordinator;
  const body = { limits: [usd(amountE9s)] };
  return expectStatus(await client.put<WireSpending>('/spending/limits', body, { key: market.renter }), 200);
}

async function spending(): Promise<WireSpending> {
  const { client } = market.coordinator;
  return expectStatus(await client.get<WireSpending>('/spending', { key: market.renter }), 200);
}

const percents = async () => (await spending()).limits[0]?.alerts.map(({ percent }) => percent);

describe('a spending limit', () => {
  it('refuses what would go beyond it, and says so with what to do', async () => {
    await allow(2n * PRICE + PRICE / 2n);
    for (const _ of [1, 2]) expectStatus(await tryToRent(market), 201);
    const refused = await tryToRent(market);
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      code: 'SPENDING_LIMIT',
      detail: 'With this you would have spent 0.30 USD this month; your limit is 0.25 USD.',
    });
    // Nothing of it is left: neither a contract nor its place.
    const { items } = (
      await market.coordinator.client.get<{ items: unknown[] }>('/contracts', { key: market.renter })
    ).body;
    expect(items).toHaveLength(2);
    expectStatus(await tryToRent(market, { duration_hours: 5 }), 201);
    expect((await spending()).limits[0]?.spent).toEqual(usd(2n * PRICE + PRICE / 2n));
  });

  it('lets through what fits, of many purchases at the same moment', async () => {
    await allow(3n * PRICE);
    const answers = await Promise.all(Array.from({ length: 10 }, () => tryToRent(market)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
    expect((await spending()).spent).toEqual([usd(3n * PRICE)]);
  });

  it('counts more time too, and refuses that', async () => {
    await allow(PRICE + PRICE / 2n);
    const { id } = await rentUntilActive(market);
    const extend = (hours: number) =>
      market.coordinator.client.post(
        `/contracts/${id}/extend`,
        { hours },
        {
          key: market.renter,
          idempotencyKey: `extend ${String(hours)}`,
        },
      );
    expect((await extend(6)).body).toMatchObject({ code: 'SPENDING_LIMIT' });
    expectStatus(await extend(5), 200);
    expect((await spending()).spent).toEqual([usd(PRICE + PRICE / 2n)]);
  });

  it('counts less what goes back', async () => {
    await allow(PRICE);
    const { id } = await rentUntilActive(market);
    expect((await tryToRent(market)).status).toBe(409);
    await pass(market.coordinator, 4 * HOUR_MS - 1000);
    await cancel(market, id);
    await settledMoney(market, id);
    expect((await spending()).spent).toEqual([usd((4n * PRICE) / 10n)]);
    await market.agent.beat();
    expectStatus(await tryToRent(market, { duration_hours: 6 }), 201);
  });

  it('begins anew with the month', async () => {
    await allow(PRICE);
    expectStatus(await tryToRent(market), 201);
    market.coordinator.clock.jump(31 * 24 * HOUR_MS);
    await market.agent.beat();
    expect((await spending()).limits[0]).toMatchObject({ spent: usd(0n), alerts: [] });
    expectStatus(await tryToRent(market), 201);
  });

  it('tells at 50, 80 and 100 percent, each once a month', async () => {
    await allow(10n * PRICE);
    const told: unknown[] = [];
    for (let count = 1; count <= 10; count += 1) {
      expectStatus(await tryToRent(market), 201);
      told.push(await percents());
    }
    expect(told).toEqual([[], [], [], [], [50], [50], [50], [50, 80], [50, 80], [50, 80, 100]]);
    await allow(20n * PRICE);
    expect(await percents()).toEqual([50]);
  });

  it('is one a currency, not negative, and can be taken away', async () => {
    const { client } = market.coordinator;
    const set = (limits: object[]) => client.put('/spending/limits', { limits }, { key: market.renter });
    expect((await set([usd(-1n)])).status).toBe(400);
    expect((await set([usd(1n), usd(2n)])).status).toBe(400);
    expectStatus(await set([usd(0n)]), 200);
    expect((await tryToRent(market)).status).toBe(409);
    expectStatus(await set([]), 200);
    expectStatus(await tryToRent(market), 201);
    expect((await client.get('/spending')).status).toBe(401);
  });
});
