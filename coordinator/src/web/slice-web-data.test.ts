import { describe, expect, it } from 'vitest';
import type { AccountPrincipal } from '../http/principal.ts';
import { keyOf, makeOffering, makePool } from '../testing/people.ts';
import { cancel, openMarket, rent, type Market } from '../testing/rental.ts';
import { NO_FILTER } from './offering-filter.ts';
import { sliceWebData } from './slice-web-data.ts';

const dataOf = ({ coordinator }: Market) => sliceWebData(coordinator.context);

const as = (name: string): AccountPrincipal => ({
  kind: 'account',
  account: keyOf(name).publicKey,
  publicKey: null,
  isProvider: false,
  isAdmin: false,
});

const stockOf = async (market: Market) => (await dataOf(market).findOffering(market.offering.id))?.stock;

describe('the pages’ data of a running coordinator', () => {
  it('says whether an offering can be rented, and why not', async () => {
    const market = await openMarket({ offering: { places: 1 } });
    expect(await stockOf(market)).toBe('available');
    await rent(market);
    expect(await stockOf(market)).toBe('sold_out');
  });

  it('calls a provider offline by the time of the last heartbeat', async () => {
    const market = await openMarket();
    const { clock, context } = market.coordinator;
    clock.jump(context.config.agents.offlineAfterMs + 1);
    expect(await stockOf(market)).toBe('offline');
    expect((await dataOf(market).findProvider(market.provider.key.publicKey))?.agents[0]?.online).toBe(false);
  });

  it('narrows the list as the filter says', async () => {
    const market = await openMarket();
    const { coordinator } = market;
    const finland = {
      key: market.provider.key,
      poolId: await makePool(coordinator, market.provider.key, 'FI'),
    };
    await makeOffering(coordinator, finland, {
      title: 'Big one',
      cpu: 16,
      memory_mb: 65_536,
      country: 'FI',
    });
    const titles = async (filter: object) =>
      (await dataOf(market).listOfferings({ ...NO_FILTER, ...filter })).items.map(({ title }) => title);
    expect(await titles({})).toHaveLength(2);
    for (const filter of [{ text: 'big' }, { country: 'FI' }, { cpuMin: 8 }, { memoryMbMin: 8192 }]) {
      expect(await titles(filter)).toEqual(['Big one']);
    }
    expect(await titles({ priceMaxE9s: 1n })).toEqual([]);
    expect(await titles({ inStockOnly: true })).toEqual(['Small server']); // Finland has no agent.
    expect(await titles({ cursor: 'nonsense' })).toHaveLength(2);
    expect(await dataOf(market).listCountries()).toEqual(['DE', 'FI']);
  });

  it('gives long lists page by page, each item once', async () => {
    const market = await openMarket();
    for (let number = 0; number < 35; number += 1) {
      await makeOffering(market.coordinator, market.provider, { title: `Number ${String(number)}` });
    }
    const first = await dataOf(market).listOfferings(NO_FILTER);
    const second = await dataOf(market).listOfferings({ ...NO_FILTER, cursor: first.nextCursor });
    const ids = [...first.items, ...second.items].map(({ id }) => id);
    expect(new Set(ids).size).toBe(36);
    expect(second.nextCursor).toBeNull();
  });

  it('shows a contract to its renter and its provider, and to nobody else', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    const data = dataOf(market);
    expect((await data.findContract(as('renter'), id))?.id).toBe(id);
    expect((await data.findContract(as('prov'), id))?.id).toBe(id);
    expect(await data.findContract(as('somebody'), id)).toBeNull();
    expect((await data.listContracts(as('renter'), null)).items).toHaveLength(1);
    expect((await data.listContracts(as('prov'), null)).items).toHaveLength(0);
  });

  it('offers the payment methods that are switched on', async () => {
    expect(dataOf(await openMarket()).paymentMethods()).toEqual(['test']);
  });
});

describe('the pages of a running coordinator', () => {
  const page = (market: Market, url: string) =>
    market.coordinator.app.inject({ url, headers: { accept: 'text/html', host: '127.0.0.1:8787' } });

  it('show the market', async () => {
    const market = await openMarket();
    const home = await page(market, '/?utm_source=x');
    expect(home.statusCode).toBe(200);
    expect(home.body).toContain('Small server');
    expect((await page(market, `/offerings/${market.offering.id}`)).body).toContain(
      'Test payment: no real money',
    );
    expect((await page(market, `/providers/${market.provider.key.publicKey}`)).body).toContain('Online');
  });

  it('show a page for people where nothing is, and a problem document to programs', async () => {
    const market = await openMarket();
    const forPeople = await page(market, '/no/such/page');
    expect(forPeople.statusCode).toBe(404);
    expect(forPeople.headers['content-type']).toContain('text/html');
    const forPrograms = await market.coordinator.app.inject({ url: '/api/v1/nothing' });
    expect(forPrograms.headers['content-type']).toContain('application/problem+json');
  });

  it('treat a session that has ended as nobody’s', async () => {
    const market = await openMarket();
    const cookie = `__Host-dc_session=${'a'.repeat(43)}`;
    const headers = { accept: 'text/html', host: '127.0.0.1:8787', cookie };
    const answer = await market.coordinator.app.inject({ url: '/contracts', headers });
    expect(answer.statusCode).toBe(303);
    expect((await market.coordinator.app.inject({ url: '/', headers })).body).toContain('Sign in');
  });

  it('show the money of a cancelled contract as it was booked', async () => {
    const market = await openMarket();
    const { id, total } = await rent(market);
    await cancel(market, id);
    const contract = await dataOf(market).findContract(as('renter'), id);
    expect(contract?.refunded).toEqual(total); // It was never active: everything goes back.
  });
});
