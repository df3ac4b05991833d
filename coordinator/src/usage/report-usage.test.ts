/** Charges for use on their way to Stripe's meter: the real library, a stand-in that behaves like Stripe. */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { Context } from '../context.ts';
import { createStripeMeter, setUpMeter } from '../payments/stripe/stripe-meter.ts';
import { createStripeClient } from '../payments/stripe/stripe-payment.ts';
import { stripeConfig } from '../payments/stripe/testing/stripe-market.ts';
import { STAND_IN_KEY, StripeStandIn } from '../payments/stripe/testing/stripe-stand-in.ts';
import { Crash, CrashPlan, crashingContext } from '../payments/testing/crashing-money.ts';
import { cancel, pass, type Market } from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { reportUsage } from './report-usage.ts';
import type { UsageReporter } from './usage-reporter.ts';
import { countAt, HOUR_MS, openUsageMarket, rentMetered, report, startOf } from './testing/usage-market.ts';

const METER = 'use_beyond_the_rent';
const UNIT = 1_000_000_000n;
const DAY_MS = 24 * HOUR_MS;
const signal = new AbortController().signal;

let standIn: StripeStandIn;
let reporter: UsageReporter;
let market: Market;

/** Opens a market at whose coordinator the jobs tell Stripe, or where the test does. */
async function open({ jobsTell }: { jobsTell: boolean }): Promise<void> {
  const clock = new ManualClock();
  standIn = new StripeStandIn(clock);
  await standIn.listen();
  onTestFinished(() => standIn.close());
  const secrets = { secretKey: STAND_IN_KEY, apiBase: standIn.url };
  await setUpMeter(createStripeClient(secrets), METER);
  reporter = createStripeMeter(secrets, METER);
  const stripe = { ...stripeConfig(standIn), ...(jobsTell ? { usageMeter: METER } : {}) };
  const coordinator = await startTestCoordinator({ clock, config: { payments: { test: true, stripe } } });
  market = await openUsageMarket({ coordinator, offering: { included_units: 0 } });
}

const meters = () => standIn.meters;
const context = (): Context => market.coordinator.context;
const reports = () => context().db.read.selectFrom('usage_reports').selectAll().orderBy('event_at').execute();
const charges = () =>
  context().db.read.selectFrom('usage_charges').selectAll().orderBy('created_at').execute();
/** What Stripe has for everybody. */
const told = (): number => [...meters().customers.keys()].reduce((sum, id) => sum + meters().sumOf(id), 0);
const setMeters = (status: string): void => meters().meters.forEach((meter) => (meter.status = status));
const areReported = async (count: number): Promise<boolean> =>
  (await reports()).filter(({ reported_at }) => reported_at !== null).length === count;
const tell = (id: string, from: Context = context()): Promise<void> =>
  reportUsage(from, reporter, id, signal);

/** A contract that used as many units, and its charge. */
async function charge(units: bigint): Promise<string> {
  const before = (await charges()).map(({ id }) => id);
  await market.agent.beat();
  const contract = await rentMetered(market);
  await report(market, contract.id, [countAt('c', startOf(contract), units)]);
  market.coordinator.clock.jump(60_000);
  await cancel(market, contract.id);
  await pass(market.coordinator, 2 * HOUR_MS);
  await until(async () => (await charges()).length > before.length, 'the charge');
  // The destroy order is not what this is about.
  await market.agent.beat();
  for (const lease of await market.agent.lease())
    await market.agent.report('destroyed', lease.contract_id, { epoch: lease.epoch });
  return (await charges()).find(({ id }) => !before.includes(id))?.id ?? '';
}

describe('a charge for use', () => {
  beforeEach(() => open({ jobsTell: true }));

  it('is told to Stripe’s meter once, by the id of the charge, and is marked', async () => {
    const id = await charge(2_580_000_000n);
    await until(() => areReported(1), 'the report');
    expect(meters().events).toMatchObject([
      { identifier: id, event_name: METER, payload: { value: '2580' } },
    ]);
    expect([...meters().customers.values()]).toMatchObject([
      { metadata: { dc_account: market.renter.publicKey } },
    ]);
    await tell(id);
    await pass(market.coordinator, DAY_MS);
    expect(meters().events).toHaveLength(1);
    expect(standIn.findings).toEqual([]);
  });

  it('shares the customer of its renter with the others, and has a minute of its own', async () => {
    await charge(UNIT);
    await charge(2n * UNIT);
    await until(() => areReported(2), 'both');
    expect(meters().customers.size).toBe(1);
    expect(told()).toBe(3000);
    expect(new Set((await reports()).map(({ event_at }) => event_at)).size).toBe(2);
  });

  it('that could not be told is not marked, and is told later (predecessor, 9.3, 13)', async () => {
    setMeters('inactive');
    await charge(UNIT);
    await until(async () => (await reports()).length === 1, 'the attempt');
    await pass(market.coordinator, 60_000);
    expect(await areReported(0)).toBe(true);
    expect(meters().events).toEqual([]);
    setMeters('active');
    await until(async () => {
      await pass(market.coordinator, 700_000);
      return areReported(1);
    }, 'the report');
    expect(told()).toBe(1000);
  });
});

describe('a charge for use, with losses on the way', () => {
  beforeEach(() => open({ jobsTell: false }));

  it('whose answer was lost is told again under its id, and counts once', async () => {
    const id = await charge(UNIT);
    // The library itself asks a second time where a connection breaks.
    standIn.failFrom(1, ['answer_lost', 'answer_lost']);
    await expect(tell(id)).rejects.toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
    expect(await reports()).toEqual([]);
    standIn.failFrom(2, ['answer_lost', 'answer_lost']);
    await expect(tell(id)).rejects.toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
    expect(await reports()).toHaveLength(1);
    expect(told()).toBe(1000);
    expect(await areReported(0)).toBe(true);
    await tell(id);
    expect(await areReported(1)).toBe(true);
    expect(told()).toBe(1000);
  });

  it('that may have arrived a day ago, when its id is forgotten, is asked for first', async () => {
    const [known, unknown] = [await charge(UNIT), await charge(5n * UNIT)];
    // The first arrived and nobody noticed, the second did not arrive.
    await tell(known);
    await context().db.write((trx) => trx.updateTable('usage_reports').set({ reported_at: null }).execute());
    setMeters('inactive');
    await expect(tell(unknown)).rejects.toMatchObject({ code: 'PAYMENT_REFUSED' });
    setMeters('active');
    market.coordinator.clock.jump(2 * DAY_MS);
    await tell(known);
    await tell(unknown);
    expect(told()).toBe(6000);
    expect(meters().events.map(({ identifier }) => identifier)).toEqual([known, unknown]);
    expect(await areReported(2)).toBe(true);
  });

  it('that a coordinator told of before its database was restored is the same one, and counts once', async () => {
    const id = await charge(UNIT);
    await tell(id);
    for (const laterMs of [HOUR_MS, 3 * DAY_MS]) {
      // All that was known of it is gone, as in a backup of the day before; what was used is not.
      await context().db.write(async (trx) => {
        await trx.deleteFrom('usage_reports').execute();
        await trx.deleteFrom('usage_charges').execute();
        const { active_at } = await trx.selectFrom('contracts').select('active_at').executeTakeFirstOrThrow();
        await trx
          .updateTable('usage_meters')
          .set({ closed_until_at: active_at, billed_seq: 0, due_at: 0 })
          .execute();
      });
      await pass(market.coordinator, laterMs);
      await until(async () => (await charges()).length === 1, 'the charge');
      expect((await charges())[0]?.id).toBe(id);
      await tell(id);
      expect(await areReported(1)).toBe(true);
      expect(told()).toBe(1000);
    }
  });

  it('counts once wherever a process crashes on the way, before and after each write and call', async () => {
    for (let at = 1, hasCrashed = true; hasCrashed; at += 1) {
      const id = await charge(UNIT);
      const before = told();
      const plan = new CrashPlan(at);
      const crashing: UsageReporter = {
        createCustomer: (account, abort) => plan.around(() => reporter.createCustomer(account, abort)),
        report: (words, abort) => plan.around(() => reporter.report(words, abort)),
        isKnown: (words, abort) => plan.around(() => reporter.isKnown(words, abort)),
      };
      hasCrashed = await reportUsage(crashingContext(context(), plan), crashing, id, signal).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Crash) return true;
          throw error;
        },
      );
      await tell(id);
      expect(told() - before).toBe(1000);
      expect(await areReported(at)).toBe(true);
      if (!hasCrashed) expect(plan.passed).toBeGreaterThanOrEqual(6);
      // Each round begins with nobody known, so that the customer is made anew.
      standIn.forgetIdempotencyKeys();
    }
  });

  it('counts once where two processes tell of it at the same time', async () => {
    const id = await charge(UNIT);
    await Promise.allSettled([tell(id), tell(id), tell(id)]);
    await tell(id);
    expect(told()).toBe(1000);
    expect(meters().events).toHaveLength(1);
    expect(await reports()).toHaveLength(1);
  });

  it('adds up to its period in whole thousandths, however many charges it has', async () => {
    const contract = await rentMetered(market);
    const at = startOf(contract);
    await report(market, contract.id, [countAt('a', at, 1_499_999_999n)]);
    market.coordinator.clock.jump(60_000);
    await cancel(market, contract.id);
    await pass(market.coordinator, 2 * HOUR_MS);
    await until(async () => (await charges()).length === 1, 'the charge');
    await report(market, contract.id, [countAt('b', at, 1_500_000_001n)]);
    await pass(market.coordinator, 2 * HOUR_MS);
    await until(async () => (await charges()).length === 2, 'the second one');
    for (const { id } of await charges()) await tell(id);
    expect(told()).toBe(3000);
  });
});
