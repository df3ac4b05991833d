/**
 * Random lives of contracts, from payment to payout: after every step the ledger sums to zero and fits the evidence,
 * balances equal the vendors' own books, and nobody is paid twice; in the end everything is given out.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { toWire } from '@dc/shared/money/money';
import { undocumentedSets } from '../invoices/testing/undocumented.ts';
import { makeAccount } from '../testing/people.ts';
import {
  atPrivateAddress,
  cancel,
  HOUR_MS,
  look,
  moneyOf,
  openMarket,
  pass,
  rent,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { accounts } from './ledger.ts';
import { balanceOf } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';
import { movePayout, requestPayout } from './payout-service.ts';
import { listOwed, listPayouts, type PayoutRow } from './payout-store.ts';
import { releaseEarnings } from './release-job.ts';
import { notify, SlowPayment } from './testing/slow-payment.ts';

const MINUTE_MS = 60_000;
const PRICE = 100_000_000n;
const ADMIN = 'ad'.repeat(32);
const WAITS_MINUTES = [2, 6, 11, 45, 200, 1_500];

interface World {
  market: Market;
  admin: SigningKey;
  slow: SlowPayment;
  /** What renters paid at the vendor. */
  paidIn: bigint;
  /** What the admin sent in the dashboard, by the payout's key. */
  sent: Map<string, bigint>;
  contracts: string[];
  /** Records that were signed while there was no line. */
  unsent: string[];
}

type Step = (world: World, pick: number) => Promise<unknown>;

const at = <T>(items: readonly T[], pick: number): T | undefined =>
  items.length === 0 ? undefined : items[pick % items.length];

const deliver: Step = async ({ market, unsent }) => {
  if (unsent.length > 0) await market.agent.send(unsent.splice(0));
};

const reporting =
  (status: string, isOnline: boolean): Step =>
  async (world, pick) => {
    const id = at(world.contracts, pick);
    if (id === undefined) return;
    world.unsent.push(world.market.agent.sign('health', id, { data: { status, latency_ms: 1 } }));
    if (isOnline) await deliver(world, pick);
  };

const payouts =
  (
    state: PayoutRow['state'],
    move: (world: World, row: PayoutRow) => Parameters<typeof movePayout>[3],
  ): Step =>
  async (world, pick) => {
    const { context } = world.market.coordinator;
    const row = at(await listPayouts(context.db.read, { state, limit: 20 }), pick);
    if (row === undefined) return;
    const step = move(world, row);
    await context.db.write((trx) => movePayout(context, trx, row.id, step));
  };

const STEPS: Record<string, Step> = {
  async rent(world, pick) {
    const { market, contracts } = world;
    if (contracts.length >= 3) return;
    await deliver(world, pick);
    await market.agent.beat();
    const { id } = await rent(market, { payment_method: 'slow' });
    contracts.push(id);
    const amount = { amountE9s: PRICE, currency: 'USD' };
    world.paidIn += PRICE;
    await notify(market.coordinator, { eventId: `paid ${id}`, contractId: id, kind: 'paid', amount });
    const lease = (await market.agent.lease()).find(({ contract_id }) => contract_id === id);
    if (lease === undefined || pick % 5 === 0) return;
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    await until(async () => (await look(market, id)).state === 'active', 'the delivery');
  },
  wait: ({ market }, pick) => pass(market.coordinator, (at(WAITS_MINUTES, pick) ?? 1) * MINUTE_MS),
  waitShortly: ({ market }, pick) => pass(market.coordinator, ((pick % 9) + 1) * MINUTE_MS),
  beWell: reporting('healthy', true),
  beWellWithoutLine: reporting('healthy', false),
  beIll: reporting('unhealthy', true),
  deliver,
  async pauseOrResume({ market, admin, contracts }, pick) {
    const word = pick % 2 === 0 ? 'pause' : 'resume';
    const id = at(contracts, Math.floor(pick / 2));
    if (id !== undefined)
      await market.coordinator.client.post(`/admin/contracts/${id}/${word}`, {}, { key: admin });
  },
  async extend(world, pick) {
    const { market, contracts } = world;
    const contractId = at(contracts, pick);
    if (contractId === undefined) return;
    const { status, body } = await market.coordinator.client.post<{ extensions: { id: string }[] }>(
      `/contracts/${contractId}/extend`,
      { hours: 1 },
      { key: market.renter, idempotencyKey: `extend ${String(world.paidIn)}` },
    );
    const extensionId = body.extensions?.at(-1)?.id;
    if (status >= 300 || extensionId === undefined) return;
    const amount = { amountE9s: PRICE / 10n, currency: 'USD' };
    world.paidIn += amount.amountE9s;
    await notify(market.coordinator, {
      eventId: `paid ${extensionId}`,
      contractId,
      extensionId,
      kind: 'paid',
      amount,
    });
  },
  async cancel({ market, contracts }, pick) {
    const id = at(contracts, pick);
    if (id !== undefined) await cancel(market, id);
  },
  failRefunds: ({ slow }, pick) => {
    slow.failures = pick % 3;
    slow.losesAnswers = pick % 2 === 0;
    return Promise.resolve();
  },
  release: ({ market }) => releaseEarnings(market.coordinator.context, new AbortController().signal),
  async requestPayout({ market }, pick) {
    const { context } = market.coordinator;
    const [owed] = await listOwed(context.db.read, { after: { provider: '', currency: '' }, limit: 1 });
    if (owed === undefined) return;
    const { provider_pubkey, currency, through, total_e9s: amountE9s } = owed;
    const body = { provider_pubkey, through, total: toWire({ amountE9s, currency }) };
    const twice = Promise.allSettled(
      [1, 2].map(() => context.db.write((trx) => requestPayout(context, trx, body, ADMIN))),
    );
    expect((await twice).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    return pick;
  },
  sendPayout: payouts('requested', ({ sent }, { key, amount_e9s }) => {
    expect(sent.has(key)).toBe(false);
    sent.set(key, amount_e9s);
    return { to: 'sent', reference: key };
  }),
  confirmPayout: payouts('sent', () => ({ to: 'confirmed' })),
  failPayout: payouts('requested', () => ({ to: 'failed', reason: 'The address is wrong.' })),
};

async function checkWorld({ market, slow, paidIn, sent }: World): Promise<void> {
  const { db, config } = market.coordinator.context;
  expect((await verifyLedger(db, config.earning.proofMs)).firstProblem).toBeNull();
  expect(await undocumentedSets(db.read)).toEqual([]);
  const balance = async (account: string) => (await balanceOf(db.read, account, 'USD')).amountE9s;
  // The vendor pays back before we book it, never after.
  const booked = (await balance(accounts.processor('slow'))) + paidIn;
  const paidBack = [...slow.paidBack.values()].reduce((sum, { amount }) => sum + amount.amountE9s, 0n);
  expect(booked).toBeLessThanOrEqual(paidBack);
  if (slow.failures === 0 && !slow.losesAnswers)
    await until(async () => (await balance(accounts.processor('slow'))) + paidIn <= paidBack, 'the books');
  const confirmed = await listPayouts(db.read, { state: 'confirmed', limit: 200 });
  const confirmedE9s = confirmed.reduce((sum, { amount_e9s }) => sum + amount_e9s, 0n);
  expect(await balance(accounts.processor('manual'))).toBe(confirmedE9s);
  const sentE9s = [...sent.values()].reduce((sum, amountE9s) => sum + amountE9s, 0n);
  expect(confirmedE9s).toBeLessThanOrEqual(sentE9s);
  const { earned_e9s: earnedE9s } = await db.read
    .selectFrom('releases')
    .select((expression) => expression.fn.sum<bigint | null>('amount_e9s').as('earned_e9s'))
    .executeTakeFirstOrThrow();
  expect(sentE9s).toBeLessThanOrEqual(earnedE9s ?? 0n);
}

/** All of it ends; then nothing is left anywhere. */
async function endWorld(world: World): Promise<void> {
  const { market, contracts, slow } = world;
  slow.failures = 0;
  await deliver(world, 0);
  for (const id of contracts) await cancel(market, id);
  for (let days = 0; days < 3; days += 1) {
    await pass(market.coordinator, 25 * HOUR_MS);
    await STEPS.release!(world, 0);
  }
  for (const id of contracts) {
    await until(async () => (await moneyOf(market, id)).refundDue === 0n, 'the refund');
    const { paid, released, refunded, escrow } = await moneyOf(market, id);
    expect([escrow, released + refunded]).toEqual([0n, paid]);
  }
  await checkWorld(world);
  const paidBack = [...slow.paidBack.values()].reduce((sum, { amount }) => sum + amount.amountE9s, 0n);
  const { amountE9s } = await balanceOf(
    market.coordinator.context.db.read,
    accounts.processor('slow'),
    'USD',
  );
  expect(amountE9s).toBe(paidBack - world.paidIn);
}

it('no random life of contracts loses or doubles a unit', async () => {
  const step = fc.tuple(fc.constantFrom(...Object.keys(STEPS)), fc.nat(60));
  const often = fc.tuple(fc.constantFrom('rent', 'beWell', 'waitShortly', 'release'), fc.nat(60));
  const life = fc.array(fc.oneof(step, often), { minLength: 10, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(life, async (steps) => {
      const slow = new SlowPayment();
      const earning = { releaseIntervalMs: HOUR_MS, proofMs: 10 * MINUTE_MS, evidenceGraceMs: 24 * HOUR_MS };
      const coordinator = await startTestCoordinator({ payments: [slow], config: { earning } });
      const market = await openMarket({ coordinator });
      const admin = await makeAccount(coordinator, 'watcher');
      await coordinator.context.db.write((trx) =>
        trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', admin.publicKey).execute(),
      );
      const world: World = {
        ...{ market, admin, slow, paidIn: 0n, sent: new Map<string, bigint>(), contracts: [], unsent: [] },
      };
      await STEPS.rent!(world, 1);
      for (const [name, pick] of steps) {
        await STEPS[name]!(world, pick);
        await checkWorld(world);
      }
      await endWorld(world);
      await coordinator.stop(1000);
    }),
    { numRuns: 8 },
  );
}, 300_000);
