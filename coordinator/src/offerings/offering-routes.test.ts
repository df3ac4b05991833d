import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireCreateOffering, WireOffering } from '@dc/shared/wire/offering';
import { beforeEach, describe, expect, it } from 'vitest';
import { dumpDatabase } from '../testing/dump-database.ts';
import {
  anOffering,
  beat,
  expectStatus,
  makeAgent,
  makeOffering,
  makePool,
  makeProvider,
} from '../testing/people.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';
import { freePlace, takePlace } from './offering-store.ts';

interface Page {
  items: WireOffering[];
  next_cursor: string | null;
}

let coordinator: TestCoordinator;
let provider: { key: SigningKey; poolId: string };
beforeEach(async () => {
  coordinator = await startTestCoordinator({ startsWork: false });
  provider = await makeProvider(coordinator, 'prov');
});

async function refused(call: () => Promise<Answer>): Promise<Answer> {
  const before = await dumpDatabase(coordinator.context.db.read);
  const answer = await call();
  expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  return answer;
}

const usd = (amount_e9s: string) => ({ amount_e9s, currency: 'USD' });
const offer = (change: Partial<WireCreateOffering>, who = provider): Promise<WireOffering> =>
  makeOffering(coordinator, who, change);

async function list(query = ''): Promise<Page> {
  return expectStatus(await coordinator.client.get<Page>(`/offerings${query}`), 200);
}

const titles = async (query: string): Promise<string[]> =>
  (await list(query)).items.map(({ title }) => title);

describe('offering something', () => {
  it('puts it on the list as it was written', async () => {
    const made = await offer({ description: 'Fast.', setup_fee: usd('5') });
    expect(made).toEqual({
      id: made.id,
      title: 'Small server',
      description: 'Fast.',
      provider: { pubkey: provider.key.publicKey, name: 'prov' },
      cpu: 2,
      memory_mb: 4096,
      disk_gb: 40,
      country: 'DE',
      operating_systems: ['debian-12'],
      price_per_hour: usd('10000000'),
      setup_fee: usd('5'),
      min_hours: 1,
      max_hours: 720,
      pricing_model: 'flat',
      in_stock: false,
      out_of_stock: 'offline',
    });
    expect((await list()).items).toEqual([made]);
    const one = await coordinator.client.get(`/offerings/${made.id}`);
    expect(expectStatus(one, 200)).toEqual(made);
  });

  const post = (change: Partial<WireCreateOffering>): Promise<Answer> => {
    const body = anOffering(provider.poolId, change);
    const path = `/providers/${provider.key.publicKey}/offerings`;
    return coordinator.client.post(path, body, { key: provider.key });
  };

  it.each([
    ['fewer hours at most than at least', { min_hours: 10, max_hours: 9 }, '/max_hours'],
    ['a negative price', { price_per_hour: usd('-1') }, '/price_per_hour/amount_e9s'],
    ['a negative setup fee', { setup_fee: usd('-1') }, '/setup_fee/amount_e9s'],
    ['two currencies', { setup_fee: { amount_e9s: '1', currency: 'EUR' } }, '/setup_fee/currency'],
    ['another country than its pool', { country: 'FR' }, '/country'],
  ])('is refused with %s', async (_, change, pointer) => {
    const answer = await refused(() => post(change));
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID', errors: [{ pointer }] } });
  });

  it('is refused where the longest rental would cost more than an amount can be', async () => {
    const most = (2n ** 63n - 1n) / 720n;
    expectStatus(await post({ price_per_hour: usd(String(most)) }), 201);
    const answer = await refused(() => post({ price_per_hour: usd(String(most + 1n)) }));
    expect(answer).toMatchObject({ status: 400, body: { code: 'MONEY_RANGE' } });
    const fee = await refused(() =>
      post({ price_per_hour: usd(String(most)), setup_fee: usd('9000000000000000000') }),
    );
    expect(fee.body['code']).toBe('MONEY_RANGE');
  });

  it('is refused in somebody else’s pool', async () => {
    const other = await makeProvider(coordinator, 'other');
    expect((await refused(() => post({ pool_id: other.poolId }))).body['code']).toBe('POOL_NOT_FOUND');
  });

  it('is refused in somebody else’s name', async () => {
    const other = await makeProvider(coordinator, 'other');
    const path = `/providers/${provider.key.publicKey}/offerings`;
    const answer = await refused(() =>
      coordinator.client.post(path, anOffering(provider.poolId), { key: other.key }),
    );
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
  });
});

describe('looking for an offering', () => {
  it('finds it by words, without regard to case, and takes signs for what they are', async () => {
    await offer({ title: 'Big Machine', description: '100% yours' });
    await offer({ title: 'Small one' });
    expect(await titles('?q=BIG')).toEqual(['Big Machine']);
    expect(await titles('?q=machine%20big')).toEqual(['Big Machine']);
    expect(await titles('?q=prov')).toHaveLength(2);
    expect(await titles('?q=100%25')).toEqual(['Big Machine']);
    expect(await titles('?q=%25')).toEqual(['Big Machine']);
    expect(await titles('?q=_')).toEqual([]);
    expect(await titles("?q=';drop%20table")).toEqual([]);
  });

  it('finds it by what it has and costs', async () => {
    const france = { key: provider.key, poolId: await makePool(coordinator, provider.key, 'FR') };
    await offer({ title: 'cheap', cpu: 1, memory_mb: 512, price_per_hour: usd('1000') });
    await offer({ title: 'big', cpu: 8, memory_mb: 32_768, price_per_hour: usd('9000') });
    await offer({ title: 'french', country: 'FR', price_per_hour: usd('5000') }, france);
    const other = await makeProvider(coordinator, 'other');
    await offer({ title: 'theirs', price_per_hour: usd('7000') }, other);
    expect(await titles('')).toEqual(['cheap', 'french', 'theirs', 'big']);
    expect(await titles('?country=FR')).toEqual(['french']);
    expect(await titles(`?provider=${other.key.publicKey}`)).toEqual(['theirs']);
    expect(await titles('?min_cpu=3')).toEqual(['big']);
    expect(await titles('?min_memory_mb=4096')).toEqual(['french', 'theirs', 'big']);
    expect(await titles('?max_price_e9s=5000')).toEqual(['cheap', 'french']);
    expect(await titles('?max_price_e9s=4999&min_cpu=2')).toEqual([]);
  });

  it('gives full pages, and every offering once, also while others are added', async () => {
    for (let count = 0; count < 7; count += 1)
      await offer({ title: `o${count}`, price_per_hour: usd(String(1 + (count % 3))) });
    const seen: string[] = [];
    const sizes: number[] = [];
    let cursor: string | null = null;
    do {
      const page: Page = await list(`?limit=3${cursor === null ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map(({ title }) => title));
      sizes.push(page.items.length);
      cursor = page.next_cursor;
      if (sizes.length === 1) await offer({ title: 'cheaper', price_per_hour: usd('0') });
    } while (cursor !== null);
    expect(sizes).toEqual([3, 3, 1]);
    expect([...seen].sort()).toEqual(['o0', 'o1', 'o2', 'o3', 'o4', 'o5', 'o6']);
  });

  it('gives full pages of what is in stock only', async () => {
    await beat(coordinator, await makeAgent(coordinator, provider));
    for (let count = 0; count < 6; count += 1)
      await offer({ title: `o${count}`, places: count % 2, price_per_hour: usd(String(count)) });
    const first = await list('?in_stock=true&limit=2');
    expect(first.items.map(({ title }) => title)).toEqual(['o1', 'o3']);
    const second = await list(`?in_stock=true&limit=2&cursor=${first.next_cursor ?? ''}`);
    expect(second).toMatchObject({ items: [{ title: 'o5' }], next_cursor: null });
    expect(await titles('?in_stock=false')).toEqual(['o0', 'o2', 'o4']);
  });
});

describe('an offering in stock', () => {
  const inStock = async (): Promise<boolean | undefined> => (await list()).items[0]?.in_stock;

  it('has a free place and an agent that was heard of', async () => {
    const { id } = await offer({ places: 1 });
    expect(await inStock()).toBe(false);
    const agent = await makeAgent(coordinator, provider);
    expect(await inStock()).toBe(false);
    await beat(coordinator, agent);
    expect(await inStock()).toBe(true);
    await coordinator.context.db.write((trx) => takePlace(trx, id));
    expect(await inStock()).toBe(false);
    await coordinator.context.db.write((trx) => freePlace(trx, id));
    expect(await inStock()).toBe(true);
    coordinator.clock.jump(50_000);
    expect(await inStock()).toBe(false);
  });

  it('is not served by another pool’s agent, nor by a revoked one', async () => {
    const elsewhere = { key: provider.key, poolId: await makePool(coordinator, provider.key) };
    await beat(coordinator, await makeAgent(coordinator, elsewhere, { name: 'elsewhere' }));
    await offer({});
    expect(await inStock()).toBe(false);
    await beat(coordinator, await makeAgent(coordinator, provider, { name: 'here' }));
    expect(await inStock()).toBe(true);
    await coordinator.context.db.write((trx) => trx.updateTable('agents').set({ revoked_at: 1 }).execute());
    expect(await inStock()).toBe(false);
  });
});

describe('a place', () => {
  it('is taken only while one is free, also by many at once', async () => {
    const { id } = await offer({ places: 3 });
    const { db } = coordinator.context;
    const taken = await Promise.all(Array.from({ length: 8 }, () => db.write((trx) => takePlace(trx, id))));
    expect(taken.filter(Boolean)).toHaveLength(3);
    await db.write((trx) => freePlace(trx, id));
    expect(await db.write((trx) => takePlace(trx, id))).toBe(true);
  });

  it('is never given back more often than it was taken', async () => {
    const { id } = await offer({ places: 3 });
    await expect(coordinator.context.db.write((trx) => freePlace(trx, id))).rejects.toThrow();
  });
});

describe('retiring an offering', () => {
  const retire = (id: string, key = provider.key): Promise<Answer> =>
    coordinator.client.delete(`/providers/${provider.key.publicKey}/offerings/${id}`, { key });

  it('takes it off the list for good; again is a success', async () => {
    const { id } = await offer({});
    expect((await retire(id)).status).toBe(204);
    expect((await list()).items).toEqual([]);
    expect((await coordinator.client.get(`/offerings/${id}`)).body['code']).toBe('OFFERING_NOT_FOUND');
    expect(await coordinator.context.db.write((trx) => takePlace(trx, id))).toBe(false);
    const before = await dumpDatabase(coordinator.context.db.read);
    coordinator.clock.jump(1000);
    expect((await retire(id)).status).toBe(204);
    expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  });

  it('is for its provider alone', async () => {
    const { id } = await offer({});
    const other = await makeProvider(coordinator, 'other');
    expect((await refused(() => retire(id, other.key))).body['code']).toBe('PERMISSION_DENIED');
    const own = `/providers/${other.key.publicKey}/offerings/${id}`;
    const answer = await refused(() => coordinator.client.delete(own, { key: other.key }));
    expect(answer).toMatchObject({ status: 404, body: { code: 'OFFERING_NOT_FOUND' } });
  });
});
