/**
 * Payouts that leave by themselves, with a crash at every write and around every call of the route, and after each
 * crash a time in which the route forgets what it was asked.
 */
import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { tellLines } from '@dc/shared/testing/told-lines';
import type { Context } from '../context.ts';
import { verifyDelivery } from '../contracts/verify-delivery.ts';
import { atPrivateAddress, HOUR_MS, openMarket, rentAndLease, type Market } from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { verifyLedger } from './ledger-verify.ts';
import { setDestination } from './payout-destinations.ts';
import type { AskAnswer, PayoutRoute, TransferAsk } from './payout-route.ts';
import { requestPayouts } from './payout-run.ts';
import { listPayouts } from './payout-store.ts';
import { sendPayout } from './payout-transfer.ts';
import { releaseEarnings } from './release-job.ts';
import { Crash, CrashPlan, crashingContext } from './testing/crashing-money.ts';

const REMEMBERS_MS = 24 * HOUR_MS;
const TIMEOUT_MS = 120_000;
const signal = new AbortController().signal;

/** Makes what it is asked for, once for equal asks, which it forgets after a day; it takes none from before that. */
class Bank {
  readonly made: (TransferAsk & { reference: string; askedOf: string })[] = [];
  /** Answers these first, having done nothing. */
  readonly refusals: AskAnswer[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  ask(ask: TransferAsk): AskAnswer {
    if (ask.askedAt + REMEMBERS_MS < this.#now())
      throw new Error('asked for what is too old to be carried out');
    const askedOf = JSON.stringify([ask.key, ask.askedAt]);
    const known = this.made.find((other) => other.askedOf === askedOf);
    if (known !== undefined) return { outcome: 'sent', reference: known.reference };
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return refusal;
    const reference = `block ${String(this.made.length)}`;
    this.made.push({ ...ask, reference, askedOf });
    return { outcome: 'sent', reference };
  }

  /** The route to it, whose calls may crash. */
  route(plan: CrashPlan): PayoutRoute {
    const none = { amountE9s: 0n, currency: 'USD' };
    return {
      method: 'stripe_connect',
      assertAccount: () => undefined,
      quote: (_reader, pays) => Promise.resolve({ pays, terms: {} }),
      ask: (ask) => plan.around(() => Promise.resolve(this.ask(ask))),
      tagOf: (key) => key,
      made: () =>
        plan.around(() => Promise.resolve(this.made.map(({ key, reference }) => ({ tag: key, reference })))),
      look: () => plan.around(() => Promise.resolve({ hasArrived: true, reversed: none })),
    };
  }
}

interface World {
  market: Market;
  bank: Bank;
}

async function openWorld(): Promise<World> {
  const earning = { releaseIntervalMs: HOUR_MS, proofMs: 100_000 * HOUR_MS, evidenceGraceMs: HOUR_MS };
  const payouts = { coolingMs: 60_000, automatic: false, minimum: 0, stripeConnect: false };
  const coordinator = await startTestCoordinator({ config: { earning, payouts }, startsWork: false });
  const market = await openMarket({ coordinator, offering: { places: 1000 } });
  const { context, clock } = coordinator;
  const place = {
    provider: market.provider.key.publicKey,
    route: 'stripe_connect',
    account: 'acct_12345678',
  };
  await context.db.write((trx) => setDestination(context, trx, place));
  clock.jump(60_000);
  return { market, bank: new Bank(() => clock.now()) };
}

/** A rental that has run its time: all of it is owed. */
async function earn({ market }: World): Promise<void> {
  const { context, clock } = market.coordinator;
  await market.agent.beat();
  const { id, lease } = await rentAndLease(market);
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  await verifyDelivery(context, id);
  clock.jump(HOUR_MS);
  await context.db.write((trx) => trx.updateTable('earnings').set({ due_at: 0 }).execute());
  await releaseEarnings(context, signal);
}

/** All of it, by somebody who knows only what the database says. */
async function payAll(context: Context, route: PayoutRoute): Promise<void> {
  const parts = { context, routes: new Map([[route.method, route]]) };
  await requestPayouts(parts, signal);
  for (const state of ['requested', 'sent'] as const)
    for (const { id } of await listPayouts(context.db.read, { state, limit: 10 }))
      await sendPayout(parts, id, signal);
}

/** Until nothing is left to do, crashing at these places in turn, with a pause after each; how often it crashed. */
async function play(world: World, crashesAt: readonly number[], pauseMs: number): Promise<number> {
  const { context, clock } = world.market.coordinator;
  const left: (number | null)[] = [...crashesAt];
  let crashes = 0;
  for (let tries = 0; tries < 10; tries += 1) {
    const plan = new CrashPlan(left.shift() ?? null);
    try {
      await payAll(crashingContext(context, plan), world.bank.route(plan));
      return crashes;
    } catch (error) {
      // Every other is a wait: the job comes again later.
      if (error instanceof Crash) crashes += 1;
      else expect(isAppError(error, 'SERVICE_UNAVAILABLE'), String(error)).toBe(true);
      clock.jump(pauseMs);
    }
  }
  throw new Error('it never ended');
}

async function expectPaidOnce({ market, bank }: World): Promise<void> {
  const { db } = market.coordinator.context;
  const payouts = await listPayouts(db.read, { limit: 10_000 });
  const paid = payouts.filter(({ state }) => state === 'confirmed');
  expect(payouts.every(({ state }) => state === 'confirmed' || state === 'failed')).toBe(true);
  expect(bank.made.map(({ key, amount }) => [key, amount.amountE9s]).toSorted()).toEqual(
    paid.map(({ key, amount_e9s }) => [key, amount_e9s]).toSorted(),
  );
  const left = await db.read.selectFrom('releases').select('seq').where('payout_id', 'is', null).execute();
  expect(left).toEqual([]);
  expect((await verifyLedger(db)).firstProblem).toBeNull();
}

describe('a payout that leaves by itself', () => {
  it.each([
    ['at once', 1000],
    ['when the ask is too old to be repeated, and too young to be dead', 23.5 * HOUR_MS],
    ['when the ask is forgotten', 26 * HOUR_MS],
  ])(
    'is made once, wherever it crashes, twice also, and goes on %s',
    async (_when, pauseMs) => {
      const world = await openWorld();
      let places = 0;
      for (let first = 1; ; first += 1) {
        await earn(world);
        const crashed = await play(world, [first], pauseMs);
        await expectPaidOnce(world);
        if (crashed === 0) break;
        places += 1;
        for (const second of [1, 3, 4, 5, 6]) {
          await earn(world);
          await play(world, [first, second], pauseMs);
          await expectPaidOnce(world);
        }
      }
      expect(places).toBeGreaterThan(10);
    },
    TIMEOUT_MS,
  );

  it('waits where the route says not now, asks anew, and is owed again where it says never', async () => {
    const world = await openWorld();
    await earn(world);
    world.bank.refusals.push({ outcome: 'not_now', isSpent: true, reason: 'too little is there' });
    await play(world, [], HOUR_MS);
    await expectPaidOnce(world);
    await earn(world);
    world.bank.refusals.push({ outcome: 'refused', reason: 'the account is closed' });
    await play(world, [], HOUR_MS);
    const { db } = world.market.coordinator.context;
    expect((await listPayouts(db.read, { limit: 1 }))[0]).toMatchObject({
      ...{ state: 'failed', failure: 'the account is closed' },
    });
    await play(world, [], HOUR_MS);
    await expectPaidOnce(world);
  });

  it('is asked for by two processes at once, and made once', async ({ task }) => {
    const world = await openWorld();
    const { context } = world.market.coordinator;
    const route = world.bank.route(new CrashPlan(null));
    for (let round = 0; round < 20; round += 1) {
      await earn(world);
      const results = await Promise.allSettled([payAll(context, route), payAll(context, route)]);
      tellLines(
        task,
        results.filter(({ status }) => status === 'rejected').map(() => 'one was second'),
      );
      await play(world, [], 1000);
      await expectPaidOnce(world);
    }
  });
});
