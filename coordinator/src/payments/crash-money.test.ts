/** Crashes at every write and around every outside call of every saga that moves money, enumerated and not sampled. */
import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import { tellLines } from '@dc/shared/testing/told-lines';
import type { Context } from '../context.ts';
import { moveContract } from '../contracts/contract-service.ts';
import { findContract } from '../contracts/contract-store.ts';
import { verifyDelivery } from '../contracts/verify-delivery.ts';
import {
  atPrivateAddress,
  destroyInstance,
  HOUR_MS,
  moneyOf,
  openMarket,
  rent,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { verifyLedger } from './ledger-verify.ts';
import { movePayout, requestPayout } from './payout-service.ts';
import { listOwed, listPayouts } from './payout-store.ts';
import type { PaymentProvider } from './payment-provider.ts';
import { sendRefund } from './refund-job.ts';
import { releaseEarnings } from './release-job.ts';
import { endRefundKey } from './settlement.ts';
import { Crash, CrashPlan, crashingContext, crashingProvider } from './testing/crashing-money.ts';
import { notify, SlowPayment } from './testing/slow-payment.ts';

const HOURLY = 10_000_000n;
const PRICE = 10n * HOURLY;
const ADMIN = 'ad'.repeat(32);
const TIMEOUT_MS = 120_000;
const signal = new AbortController().signal;

/** Somebody's dashboard, where a person sends what a payout says: each key once. */
class Dashboard {
  readonly sent = new Map<string, bigint>();

  send(key: string, amountE9s: bigint): Promise<string> {
    this.sent.set(key, amountE9s);
    return Promise.resolve(`transfer of ${key}`);
  }
}

interface World {
  market: Market;
  slow: SlowPayment;
  dashboard: Dashboard;
  contracts: string[];
  rounds: number;
}

interface Saga {
  name: string;
  /** How long a proof lasts in its world; for ever unless said otherwise. */
  proofMs?: number;
  /** Once. */
  prepare?(world: World): Promise<void>;
  /** Before each round: there is something to do again. */
  begin(world: World): Promise<void>;
  /** All of it, by somebody who knows only what the database says; again after every crash. */
  run(tools: Tools): Promise<void>;
  /** After each round. */
  check(world: World): Promise<void>;
}

interface Tools {
  context: Context;
  payments: ReadonlyMap<string, PaymentProvider>;
  plan: CrashPlan;
  world: World;
}

/** A world whose jobs stand still: the test does their work. */
async function openWorld(proofMs = 1000 * HOUR_MS): Promise<World> {
  const slow = new SlowPayment();
  const earning = { releaseIntervalMs: HOUR_MS, proofMs, evidenceGraceMs: HOUR_MS };
  const coordinator = await startTestCoordinator({
    ...{ payments: [slow], config: { earning }, startsWork: false },
  });
  const market = await openMarket({ coordinator, offering: { places: 1000 } });
  return { market, slow, dashboard: new Dashboard(), contracts: [], rounds: 0 };
}

async function paidContract({ market, contracts }: World): Promise<string> {
  await market.agent.beat();
  const { id } = await rent(market, { payment_method: 'slow' });
  const amount = { amountE9s: PRICE, currency: 'USD' };
  await notify(market.coordinator, { eventId: `paid ${id}`, contractId: id, kind: 'paid', amount });
  contracts.push(id);
  return id;
}

async function activeContract(world: World): Promise<string> {
  const { market } = world;
  const id = await paidContract(world);
  const lease = await market.agent.leaseOne();
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  await verifyDelivery(market.coordinator.context, id);
  return id;
}

const newest = ({ contracts }: World): string => contracts.at(-1) ?? '';

/** Cancels as the route does: a contract that has ended is left alone. */
function cancelOnce(context: Context, id: string): Promise<void> {
  return context.db.write(async (trx) => {
    const contract = await findContract(trx, id);
    if (contract === null || contract.ended_at !== null) return;
    await moveContract(context, trx, contract, { event: 'cancel', actor: 'renter', reason: 'test' });
  });
}

/** What an admin does who looks first: sends what was requested, requests what is owed, confirms what was sent. */
async function payOut({ context, plan, world }: Tools): Promise<void> {
  const place = { after: { provider: '', currency: '' }, limit: 10 };
  for (const owed of await listOwed(context.db.read, place)) {
    const { provider_pubkey, currency, through, total_e9s: amountE9s } = owed;
    const body = { provider_pubkey, through, total: toWire({ amountE9s, currency }) };
    await context.db.write((trx) => requestPayout(context, trx, body, ADMIN));
  }
  for (const { id, key, amount_e9s } of await listPayouts(context.db.read, {
    state: 'requested',
    limit: 10,
  })) {
    const reference = await plan.around(() => world.dashboard.send(key, amount_e9s));
    await context.db.write((trx) => movePayout(context, trx, id, { to: 'sent', reference }));
  }
  for (const { id } of await listPayouts(context.db.read, { state: 'sent', limit: 10 }))
    await context.db.write((trx) => movePayout(context, trx, id, { to: 'confirmed' }));
}

const SAGAS: Saga[] = [
  {
    name: 'a cancellation, from the decision to the confirmed refund',
    async begin(world) {
      await paidContract(world);
    },
    async run({ context, payments, world }) {
      await cancelOnce(context, newest(world));
      await sendRefund(context, payments, endRefundKey(newest(world)), signal);
    },
    async check(world) {
      const key = endRefundKey(newest(world));
      expect(world.slow.paidBack.get(key)?.amount.amountE9s).toBe(PRICE);
      expect(world.slow.paidBack.size).toBe(world.rounds);
      expect(await moneyOf(world.market, newest(world))).toMatchObject({ refunded: PRICE, refundDue: 0n });
    },
  },
  {
    name: 'a cancellation after three hours: a release, a refund',
    async begin(world) {
      await activeContract(world);
      world.market.coordinator.clock.jump(3 * HOUR_MS);
    },
    async run({ context, payments, world }) {
      await cancelOnce(context, newest(world));
      await sendRefund(context, payments, endRefundKey(newest(world)), signal);
    },
    async check(world) {
      expect(await moneyOf(world.market, newest(world))).toEqual({
        ...{ paid: PRICE, released: 3n * HOURLY, refunded: 7n * HOURLY, refundDue: 0n, escrow: 0n },
      });
      await destroyInstance(world.market, newest(world));
    },
  },
  {
    name: 'what waited for evidence until it was too late: a release, credits, two refunds',
    proofMs: HOUR_MS / 6,
    async begin(world) {
      await activeContract(world);
      const { clock, context } = world.market.coordinator;
      clock.jump(3 * HOUR_MS);
      await cancelOnce(context, newest(world));
      clock.jump(2 * HOUR_MS);
    },
    async run({ context, payments, world }) {
      await context.db.write((trx) =>
        trx.updateTable('earnings').set({ due_at: 0 }).where('due_at', 'is not', null).execute(),
      );
      await releaseEarnings(context, signal);
      const waiting = context.db.read.selectFrom('refunds').select('key').where('confirmed_at', 'is', null);
      for (const { key } of await waiting.where('contract_id', '=', newest(world)).execute())
        await sendRefund(context, payments, key, signal);
    },
    async check(world) {
      const released = HOURLY / 6n;
      const refunded = PRICE - released;
      expect(await moneyOf(world.market, newest(world))).toEqual({
        ...{ paid: PRICE, released, refunded, refundDue: 0n, escrow: 0n },
      });
      const paidBack = [...world.slow.paidBack.values()].filter(
        ({ contractId }) => contractId === newest(world),
      );
      expect(paidBack).toHaveLength(2);
      expect(paidBack.reduce((sum, { amount }) => sum + amount.amountE9s, 0n)).toBe(refunded);
      await destroyInstance(world.market, newest(world));
    },
  },
  {
    name: 'a release run of two batches',
    async prepare(world) {
      for (let count = 0; count < 26; count += 1) await activeContract(world);
    },
    begin: ({ market }) => Promise.resolve(market.coordinator.clock.jump(6 * 60_000)),
    async run({ context, world }) {
      await context.db.write((trx) => trx.updateTable('earnings').set({ due_at: 0 }).execute());
      expect(await releaseEarnings(context, signal)).toBe(world.contracts.length);
    },
    async check(world) {
      for (const id of world.contracts) {
        const { released } = await moneyOf(world.market, id);
        expect(released).toBe((HOURLY / 10n) * BigInt(world.rounds));
      }
    },
  },
  {
    name: 'a payout, from the list to the confirmation',
    async prepare(world) {
      await activeContract(world);
    },
    async begin({ market }) {
      market.coordinator.clock.jump(6 * 60_000);
      const { context } = market.coordinator;
      await context.db.write((trx) => trx.updateTable('earnings').set({ due_at: 0 }).execute());
      await releaseEarnings(context, signal);
    },
    run: payOut,
    check: ({ dashboard, rounds }) => {
      const sums = [...dashboard.sent.values()];
      expect(sums).toEqual(Array(rounds).fill(HOURLY / 10n));
      return Promise.resolve();
    },
  },
];

/** Runs the saga with a crash at each place in turn, and, with each of those, a second one at each place of what follows. */
async function crashEverywhere(saga: Saga): Promise<{ single: number; double: number }> {
  const world = await openWorld(saga.proofMs);
  await saga.prepare?.(world);
  let [single, double] = [0, 0];
  for (let first = 1; ; first += 1) {
    const crashed = await playRound(saga, world, [first]);
    if (crashed === 0) return { single, double };
    single += 1;
    for (let second = 1; (await playRound(saga, world, [first, second])) === 2; second += 1) double += 1;
  }
}

/** One round with these crashes; resolves with how many of them happened. */
async function playRound(saga: Saga, world: World, crashesAt: readonly number[]): Promise<number> {
  await saga.begin(world);
  world.rounds += 1;
  const { context } = world.market.coordinator;
  let crashes = 0;
  for (const at of [...crashesAt, null]) {
    const plan = new CrashPlan(at);
    const payments = new Map([[world.slow.method, crashingProvider(world.slow, plan)]]);
    try {
      await saga.run({ context: crashingContext(context, plan), payments, plan, world });
      break;
    } catch (error) {
      if (!(error instanceof Crash) && !isAppError(error)) throw error;
      expect(error).toBeInstanceOf(Crash);
      crashes += 1;
    }
  }
  await saga.check(world);
  expect((await verifyLedger(context.db, context.config.earning.proofMs)).firstProblem).toBeNull();
  return crashes;
}

describe('A crash at any moment', () => {
  for (const saga of SAGAS) {
    it(
      `loses and doubles nothing in ${saga.name}`,
      async ({ task }) => {
        const { single, double } = await crashEverywhere(saga);
        tellLines(task, [`crashes in ${saga.name}: ${String(single)} single, ${String(double)} double`]);
        expect(single).toBeGreaterThan(3);
        expect(double).toBeGreaterThan(3);
      },
      TIMEOUT_MS,
    );
  }
});
