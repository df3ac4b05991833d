import fc from 'fast-check';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireUsageEvent } from '@dc/shared/wire/usage';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { makeAccount, makeAgent, type keyOf } from '../testing/people.ts';
import { cancel, openMarket, pass, rentUntilActive, tryToRent, type Market } from '../testing/rental.ts';
import { until } from '../testing/test-coordinator.ts';
import { PERIOD_MS } from './usage-rules.ts';
import {
  beatAt,
  CAP,
  countAt,
  HOUR_MS,
  openUsageMarket,
  rentMetered,
  report,
  session,
  startOf,
  topUp,
  usageOf,
  usd,
  walletOf,
} from './testing/usage-market.ts';

const HOUR_PRICE = 20_000_000n;
const LATER_MS = 2 * HOUR_MS;

let market: Market;
let contract: WireContract;
beforeEach(async () => {
  market = await openUsageMarket();
  contract = await rentMetered(market);
});

const read = () => market.coordinator.context.db.read;
/** Lets the charges of what is over be made, and everything add up. */
async function settle(): Promise<void> {
  await pass(market.coordinator, LATER_MS);
  await pass(market.coordinator, 61_000);
  await until(async () => {
    const due = await read()
      .selectFrom('usage_meters')
      .select('due_at')
      .where('due_at', '<=', market.coordinator.clock.now())
      .execute();
    return due.length === 0;
  }, 'the charges');
  expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
}
const paid = async () =>
  (await usageOf(market, contract.id)).charges.map(({ amount }) => BigInt(amount.amount_e9s));
/** Sessions of whole days, so that a period has as many hours of use as asked for. */
const hours = (name: string, from: number, count: number): WireUsageEvent[] =>
  Array.from({ length: Math.ceil(count / 24) }, (_, day) =>
    session(`${name}-${String(day)}`, from + day * 24 * HOUR_MS, Math.min(24, count - day * 24) * HOUR_MS),
  );

describe('an offering that charges for use', () => {
  it('says what a unit costs and how many are included, to everybody', async () => {
    const answer = await market.coordinator.client.get(`/offerings/${market.offering.id}`);
    expect(answer.body).toMatchObject({
      pricing_model: 'usage',
      billing_unit: 'hour',
      price_per_unit: usd(HOUR_PRICE),
      included_units: 10,
    });
  });

  it.each([
    ['without a price', { pricing_model: 'usage' }, '/price_per_unit'],
    [
      'with a negative price',
      { pricing_model: 'usage', price_per_unit: usd(-1n) },
      '/price_per_unit/amount_e9s',
    ],
    [
      'in another currency than the rent',
      { pricing_model: 'usage', price_per_unit: { amount_e9s: '1', currency: 'EUR' } },
      '/price_per_unit/currency',
    ],
    ['with a flat price and a unit', { billing_unit: 'day' }, '/billing_unit'],
    ['with a flat price and a price of use', { price_per_unit: usd(1n) }, '/price_per_unit'],
    ['of a week', { pricing_model: 'usage', billing_unit: 'week' }, '/billing_unit'],
    ['with a part of a unit included', { pricing_model: 'usage', included_units: 1.5 }, '/included_units'],
  ])('is refused %s', async (_name, change, pointer) => {
    const { provider, coordinator } = market;
    const { title, cpu, memory_mb, disk_gb, country, operating_systems, price_per_hour, setup_fee } =
      market.offering;
    const body = {
      ...{ title, cpu, memory_mb, disk_gb, country, operating_systems, price_per_hour, setup_fee },
      ...{ min_hours: 1, max_hours: 10, places: 1, ...change },
    };
    const path = `/providers/${provider.key.publicKey}/offerings`;
    const answer = await coordinator.client.post(path, body, { key: provider.key });
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    expect(answer.text).toContain(`"pointer":"${pointer}"`);
  });

  it('is rented only with a cap that the renter accepts, in its currency', async () => {
    for (const usage_cap of [undefined, { amount_e9s: '5', currency: 'EUR' }, usd(-1n)]) {
      const change = usage_cap === undefined ? {} : { usage_cap };
      expect(await tryToRent(market, change)).toMatchObject({
        status: 400,
        body: { code: 'USAGE_CAP_REQUIRED', errors: [{ pointer: '/usage_cap' }] },
      });
    }
    expect((await tryToRent(market, { usage_cap: usd(0n) })).status).toBe(201);
  });
});

describe('usage events', () => {
  it('are taken in any order, and each counts once', async () => {
    const at = startOf(contract);
    market.coordinator.clock.jump(4 * HOUR_MS);
    const events = [
      session('s', at + HOUR_MS, HOUR_MS),
      countAt('c', at + 5, 2_500_000_000n),
      beatAt('b2', at + 300_000),
      beatAt('b1', at),
    ];
    const first = await report(market, contract.id, events);
    expect(first.results.map(({ outcome }) => outcome)).toEqual(Array(4).fill('recorded'));
    const again = await report(market, contract.id, events.toReversed());
    expect(again.results.map(({ outcome }) => outcome)).toEqual(Array(4).fill('already_recorded'));
    expect(await usageOf(market, contract.id)).toMatchObject({
      pricing_model: 'usage',
      events: 4,
      charges: [],
      period: {
        from: contract.active_at,
        used_ms: HOUR_MS + 300_000,
        counted_units_e9s: '2500000000',
        used_units_e9s: '3583333333',
        included_units_e9s: '10000000000',
        overage_units_e9s: '0',
        charge_so_far: usd(0n),
      },
    });
  });

  it('of one id that say something else are refused, and so are those of no possible time', async () => {
    const now = market.coordinator.clock.now();
    const { results } = await report(
      market,
      contract.id,
      [
        countAt('c', now, 1n),
        countAt('c', now, 2n),
        beatAt('c', now),
        beatAt('tomorrow', now + 24 * HOUR_MS),
        session('too long', now - HOUR_MS, HOUR_MS + 301_000),
        beatAt('long ago', now - 35 * 24 * HOUR_MS),
      ].map((event) => ({ ...event, id: event.id.replaceAll(' ', '-') })),
    );
    expect(results.map(({ code, outcome }) => code ?? outcome)).toEqual([
      'recorded',
      'USAGE_EVENT_CONFLICT',
      'USAGE_EVENT_CONFLICT',
      'USAGE_EVENT_TIME',
      'USAGE_EVENT_TIME',
      'USAGE_EVENT_TIME',
    ]);
  });

  const now = () => market.coordinator.clock.now();
  it.each<[string, () => unknown]>([
    ['none', () => ({ events: [] })],
    ['too many', () => ({ events: Array.from({ length: 501 }, (_, i) => beatAt(`b${String(i)}`, now())) })],
    ['an unknown kind', () => ({ events: [{ ...beatAt('b', now()), kind: 'guess' }] })],
    ['no id', () => ({ events: [{ kind: 'heartbeat', at: new Date(now()).toISOString() }] })],
    ['a session that ends before it begins', () => ({ events: [session('s', now(), -1)] })],
    [
      'a session of more than a day',
      () => ({ events: [session('s', now() - 25 * HOUR_MS, 25 * HOUR_MS - 1)] }),
    ],
    ['a negative count', () => ({ events: [{ ...countAt('c', now(), 1n), units_e9s: '-1' }] })],
    ['a count of nothing', () => ({ events: [countAt('c', now(), 0n)] })],
    ['an absurd count', () => ({ events: [countAt('c', now(), 10n ** 18n)] })],
    ['a fraction', () => ({ events: [{ ...countAt('c', now(), 1n), units_e9s: '1.5' }] })],
    ['a number', () => ({ events: [{ ...countAt('c', now(), 1n), units_e9s: 5 }] })],
    [
      'a time that there is not',
      () => ({ events: [{ ...beatAt('b', now()), at: '2026-13-45T00:00:00.000Z' }] }),
    ],
    ['words of its own', () => ({ events: [{ ...beatAt('b', now()), price: 5 }] })],
  ])('with %s are refused, and nothing is kept', async (_name, body) => {
    const path = `/contracts/${contract.id}/usage`;
    const answer = await market.coordinator.client.post(path, body(), { key: market.agent.key });
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    expect((await usageOf(market, contract.id)).events).toBe(0);
  });

  it('come from the contract’s own agent or its provider, and from nobody else', async () => {
    const { coordinator, provider, renter } = market;
    const stranger = await makeAccount(coordinator, 'stranger');
    const other = await makeAgent(coordinator, provider, { name: 'another agent' });
    const weak = await makeAgent(coordinator, provider, { name: 'weak', permissions: ['provision'] });
    const path = `/contracts/${contract.id}/usage`;
    const body = { events: [beatAt('b', coordinator.clock.now())] };
    const by = async (key?: ReturnType<typeof keyOf>) =>
      (await coordinator.client.post(path, body, key === undefined ? {} : { key })).status;
    expect(await by()).toBe(401);
    expect(await by(renter)).toBe(403);
    expect(await by(other)).toBe(403);
    expect(await by(weak)).toBe(403);
    expect(await by(stranger)).toBe(403);
    expect(await by(provider.key)).toBe(200);
    expect((await coordinator.client.get(path, { key: stranger })).status).toBe(404);
    expect((await coordinator.client.get(path)).status).toBe(401);
    expect((await coordinator.client.get(path, { key: provider.key })).status).toBe(200);
  });

  it('of a contract that was not delivered, or that there is not, are refused', async () => {
    const { coordinator, agent, renter } = market;
    const { body } = await tryToRent(market, { usage_cap: usd(0n) });
    const post = (id: string) =>
      coordinator.client.post(`/contracts/${id}/usage`, { events: [beatAt('b', 0)] }, { key: agent.key });
    expect((await post(body.id)).status).toBe(403);
    const lease = await agent.leaseOne();
    expect(lease.contract_id).toBe(body.id);
    expect(await post(body.id)).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
    expect(await post('01999999-0001-7000-8000-000000000001')).toMatchObject({ status: 404 });
    const { body: view } = await coordinator.client.get(`/contracts/${body.id}/usage`, { key: renter });
    expect(view).toMatchObject({ period: null, charges: [] });
  });

  it('of a contract with a flat price are kept and shown, and cost nothing', async () => {
    const flat = await openMarket();
    const { id, active_at } = await rentUntilActive(flat);
    flat.coordinator.clock.jump(2 * HOUR_MS);
    await report(flat, id, [session('s', Date.parse(active_at ?? ''), HOUR_MS)]);
    await cancel(flat, id);
    await pass(flat.coordinator, LATER_MS);
    expect(await usageOf(flat, id)).toMatchObject({
      pricing_model: 'flat',
      period: { used_ms: HOUR_MS, overage_units_e9s: '1000000000', charge_so_far: usd(0n) },
      charges: [],
    });
  });
});

describe('use beyond the rent', () => {
  it('is estimated while the period runs', async () => {
    market.coordinator.clock.jump(PERIOD_MS / 2);
    await report(market, contract.id, hours('day', startOf(contract), 48));
    expect((await usageOf(market, contract.id)).period).toMatchObject({
      charge_so_far: usd(38n * HOUR_PRICE),
      estimated_charge: usd(86n * HOUR_PRICE),
      cap_reached: false,
    });
  });

  it('is taken from the wallet when the period is over, and is the provider’s', async () => {
    await topUp(market, 1_000_000_000n);
    market.coordinator.clock.jump(PERIOD_MS);
    await report(market, contract.id, hours('day', startOf(contract), 20));
    await settle();
    const { charges, unpaid } = await usageOf(market, contract.id);
    expect(charges).toMatchObject([
      {
        amount: usd(10n * HOUR_PRICE),
        status: 'paid',
        overage_units_e9s: '10000000000',
        from: contract.active_at,
      },
    ]);
    expect(unpaid).toEqual(usd(0n));
    expect(await walletOf(market)).toBe(1_000_000_000n - 10n * HOUR_PRICE);
    const releases = await read().selectFrom('releases').selectAll().where('kind', '=', 'usage').execute();
    const { body } = await market.coordinator.client.get<{ items: unknown[]; totals: unknown[] }>(
      `/providers/${market.provider.key.publicKey}/statement`,
      { key: market.provider.key },
    );
    const { client } = market.coordinator;
    const { items } = (await client.get<{ items: { number: string }[] }>('/invoices', { key: market.renter }))
      .body;
    const invoice = await client.get(`/invoices/${items[0]?.number ?? ''}`, { key: market.renter });
    expect(invoice.text).toMatch(/Use beyond the rent: 10\.00 hours, [0-9: -]{16} to [0-9: -]{16} UTC/);
    const line = { kind: 'usage', amount: usd(10n * HOUR_PRICE), from: contract.active_at };
    expect(body.items).toContainEqual(expect.objectContaining(line));
    const path = `/contracts/${contract.id}/statement`;
    const own = await market.coordinator.client.get<{ releases: unknown[] }>(path, { key: market.renter });
    expect(own.body.releases).toContainEqual(expect.objectContaining(line));
    expect(releases).toMatchObject([
      { amount_e9s: 10n * HOUR_PRICE, contract_id: contract.id, payout_id: null },
    ]);
  });

  it('waits for money where the wallet has none, and is taken as soon as it is there, once', async () => {
    market.coordinator.clock.jump(PERIOD_MS);
    await report(market, contract.id, hours('day', startOf(contract), 20));
    await settle();
    expect(await usageOf(market, contract.id)).toMatchObject({
      unpaid: usd(10n * HOUR_PRICE),
      charges: [{ status: 'unpaid', paid_at: null }],
    });
    await topUp(market, 10n * HOUR_PRICE - 1n);
    await pass(market.coordinator, 61_000);
    expect(await walletOf(market)).toBe(10n * HOUR_PRICE - 1n);
    await topUp(market, 1n);
    await pass(market.coordinator, 61_000);
    await until(async () => (await walletOf(market)) === 0n, 'the payment');
    await topUp(market, 50n * HOUR_PRICE);
    await settle();
    expect(await walletOf(market)).toBe(50n * HOUR_PRICE);
    expect((await usageOf(market, contract.id)).charges).toMatchObject([{ status: 'paid' }]);
  });

  it('that stays unpaid for a week lets its renter use nothing more that is charged by use', async () => {
    market.coordinator.clock.jump(PERIOD_MS);
    await report(market, contract.id, hours('day', startOf(contract), 20));
    await settle();
    const extend = () =>
      market.coordinator.client.post(
        `/contracts/${contract.id}/extend`,
        { hours: 1 },
        { key: market.renter, idempotencyKey: `e${String(market.coordinator.clock.now())}` },
      );
    expect((await extend()).status).toBe(200);
    await pass(market.coordinator, 8 * 24 * HOUR_MS);
    await market.agent.beat();
    const refused = { status: 409, body: { code: 'USAGE_UNPAID' } };
    expect(await extend()).toMatchObject(refused);
    expect(await tryToRent(market, { usage_cap: usd(0n) })).toMatchObject(refused);
    await topUp(market, 10n * HOUR_PRICE);
    await pass(market.coordinator, 61_000);
    await until(async () => (await walletOf(market)) === 0n, 'the payment');
    expect((await extend()).status).toBe(200);
  });

  it('never costs more in a period than the renter accepted', async () => {
    const cap = 3n * HOUR_PRICE;
    const capped = await rentMetered(market, { usage_cap: usd(cap) });
    market.coordinator.clock.jump(PERIOD_MS / 2);
    const answer = await report(market, capped.id, hours('day', startOf(capped), 100));
    expect(answer.cap_reached).toBe(true);
    expect((await usageOf(market, capped.id)).period).toMatchObject({
      cap_reached: true,
      charge_so_far: usd(cap),
    });
    market.coordinator.clock.jump(PERIOD_MS / 2);
    await settle();
    await report(market, capped.id, hours('late', startOf(capped) + 10 * 24 * HOUR_MS, 24));
    await settle();
    expect((await usageOf(market, capped.id)).charges).toMatchObject([{ amount: usd(cap) }]);
  });

  it('that is told late, even after the end, is charged by the difference', async () => {
    await topUp(market, CAP);
    market.coordinator.clock.jump(PERIOD_MS);
    await report(market, contract.id, hours('day', startOf(contract), 12));
    await settle();
    expect(await paid()).toEqual([2n * HOUR_PRICE]);
    await report(market, contract.id, hours('late', startOf(contract) + 20 * 24 * HOUR_MS, 3));
    await settle();
    expect(await paid()).toEqual([2n * HOUR_PRICE, 3n * HOUR_PRICE]);
    const endedAt = market.coordinator.clock.now();
    expect((await cancel(market, contract.id)).status).toBe(200);
    await settle();
    // Three hours before the end, and one after it, which nobody pays for.
    await report(market, contract.id, [session('end', endedAt - 3 * HOUR_MS, 4 * HOUR_MS)]);
    await settle();
    expect((await paid()).slice(2)).toHaveLength(1);
    expect((await usageOf(market, contract.id)).period).toMatchObject({ used_ms: 3 * HOUR_MS });
    await report(market, contract.id, [
      session('after', endedAt + 1, 60_000),
      beatAt('after-too', endedAt + 1),
    ]);
    await settle();
    expect(await paid()).toHaveLength(3);
  });

  it('of two periods is charged apart, and a session across their border is in both, once', async () => {
    market.coordinator.clock.jump(PERIOD_MS + 14 * HOUR_MS);
    const border = startOf(contract) + PERIOD_MS;
    await report(market, contract.id, [session('across', border - 12 * HOUR_MS, 24 * HOUR_MS)]);
    await cancel(market, contract.id);
    await settle();
    // The second one lasted 14 hours of 720, so that a 72nd of its ten hours are included.
    const { charges } = await usageOf(market, contract.id);
    expect(charges).toMatchObject([
      { amount: usd(2n * HOUR_PRICE) },
      {
        amount: usd((HOUR_PRICE * (12n * 72n * 10n - 14n * 10n)) / 720n),
        from: new Date(border).toISOString(),
      },
    ]);
  });

  it('costs nothing while the contract is paused', async () => {
    const { coordinator } = market;
    const boss = await makeAccount(coordinator, 'boss');
    await coordinator.context.db.write((trx) =>
      trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', boss.publicKey).execute(),
    );
    const power = (event: string) =>
      coordinator.client.post(`/admin/contracts/${contract.id}/${event}`, {}, { key: boss });
    coordinator.clock.jump(15 * HOUR_MS);
    expect((await power('pause')).status).toBe(200);
    coordinator.clock.jump(9 * HOUR_MS);
    await report(market, contract.id, hours('all', startOf(contract), 24));
    expect((await usageOf(market, contract.id)).period).toMatchObject({ used_ms: 15 * HOUR_MS });
    expect((await power('resume')).status).toBe(200);
    await cancel(market, contract.id);
    await settle();
    expect((await usageOf(market, contract.id)).period).toMatchObject({ used_ms: 15 * HOUR_MS });
  });

  it('is charged by the terms of the contract, whatever becomes of its offering', async () => {
    await market.coordinator.context.db.write((trx) =>
      trx
        .updateTable('offering_usage')
        .set({ unit_price_e9s: 10n ** 12n })
        .execute(),
    );
    market.coordinator.clock.jump(PERIOD_MS);
    await report(market, contract.id, hours('day', startOf(contract), 11));
    await settle();
    expect(await paid()).toEqual([HOUR_PRICE]);
  });
});

describe('whatever the order in which events come, and how often', () => {
  it('the same events cost the same', async () => {
    const at = startOf(contract);
    const events: WireUsageEvent[] = [
      ...hours('day', at, 30),
      countAt('count', at + 40 * HOUR_MS, 3_250_000_000n),
      ...Array.from({ length: 6 }, (_, i) => beatAt(`b${String(i)}`, at + 50 * HOUR_MS + i * 500_000)),
    ];
    // 30 hours, 3.25 counted, 2,500 s of heartbeats; 10 are included.
    const due = (HOUR_PRICE * (23_250_000_000n * 3600n + 2_500n * 1_000_000_000n)) / (3600n * 1_000_000_000n);
    const { id } = contract;
    const contracts = [id];
    for (let more = 0; more < 3; more += 1) contracts.push((await rentMetered(market)).id);
    market.coordinator.clock.jump(PERIOD_MS);
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(events, { minLength: events.length }),
        fc.shuffledSubarray(events),
        fc.integer({ min: 1, max: events.length }), // Nothing at all is refused.
        async (order, repeats, cut) => {
          const contractId = contracts.pop();
          if (contractId === undefined) return;
          await report(market, contractId, [...order.slice(0, cut), ...repeats].slice(0, 500));
          await settle();
          await report(market, contractId, order);
          await settle();
          const { charges } = await usageOf(market, contractId);
          expect(charges.reduce((sum, { amount }) => sum + BigInt(amount.amount_e9s), 0n)).toBe(due);
        },
      ),
      { numRuns: 4 },
    );
  });
});

describe('verifying the ledger', () => {
  const problem = async () => (await verifyLedger(market.coordinator.context.db)).firstProblem;
  beforeEach(async () => {
    await topUp(market, CAP);
    market.coordinator.clock.jump(PERIOD_MS);
    await report(market, contract.id, hours('day', startOf(contract), 20));
    await settle();
  });

  it.each<[string, string, RegExp]>([
    [
      'an event was taken away',
      `delete from usage_events`,
      /counts 72000000 ms and 0, and its events say 0 ms/,
    ],
    [
      'an event was made longer',
      `update usage_events set ended_at = ended_at + 1`,
      /its events say 72000001 ms/,
    ],
    [
      'an event was added to what was counted',
      `insert into usage_events (contract_id, id, kind, at, units_e9s, reported_by, received_at, seq)
         select contract_id, 'x', 'counter', at, 5, '', 0, 0 from usage_events`,
      /its events say 72000000 ms and 5/,
    ],
    [
      'the price was changed',
      `update usage_meters set unit_price_e9s = unit_price_e9s + 1`,
      /its events are worth/,
    ],
    [
      'the charge was changed',
      `update usage_charges set amount_e9s = amount_e9s + 1`,
      /brings its period to 200000001/,
    ],
    ['the units were changed', `update usage_charges set overage_e9s = 7`, /brings its period to 7 units/],
    ['it counts as unpaid', `update usage_charges set paid_at = null`, /is unpaid, and 200000000 was taken/],
    ['the meter is gone', `delete from usage_meters`, /has no meter/],
    ['the charge is gone', `delete from usage_charges`, /is of no paid charge/],
  ])('names it where %s', async (_name, statement, words) => {
    expect(await problem()).toBeNull();
    await market.coordinator.context.db.write((trx) => sql.raw(statement).execute(trx));
    expect(await problem()).toMatch(words);
  });
});
