import { beforeEach, describe, expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireRefundRequest } from '@dc/shared/wire/payment-admin';
import { expectStatus, makeAccount } from '../testing/people.ts';
import {
  atPrivateAddress,
  cancel,
  contractBecomes,
  HOUR_MS,
  look,
  moneyOf,
  openMarket,
  pass,
  reaches,
  rent,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { verifyDelivery } from '../contracts/verify-delivery.ts';
import { decideRefund } from './decide-refund.ts';
import { sendRefund } from './refund-job.ts';
import { Crash, CrashPlan, crashingContext, crashingProvider } from './testing/crashing-money.ts';
import { notify, SlowPayment } from './testing/slow-payment.ts';

const UNIT = 1_000_000_000n;
const DAY_MS = 24 * HOUR_MS;

let market: Market;
let slow: SlowPayment;
let admin: SigningKey;
/** Nothing leaves above 50 dollars a refund, 80 a renter and day, 100 a day. */
const refunds = { perRefund: 50, perRenterADay: 80, perDay: 100, units: {} };

async function open(startsWork = true): Promise<void> {
  slow = new SlowPayment();
  const options = { payments: [slow], config: { refunds }, startsWork };
  const coordinator = await startTestCoordinator(options);
  // Ten dollars an hour.
  const price = { amount_e9s: String(10n * UNIT), currency: 'USD' };
  market = await openMarket({ coordinator, offering: { price_per_hour: price, places: 100 } });
  admin = await makeAdmin('boss');
}
beforeEach(() => open());

async function makeAdmin(name: string): Promise<SigningKey> {
  const key = await makeAccount(market.coordinator, name);
  await market.coordinator.context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', key.publicKey).execute(),
  );
  return key;
}

async function paid(hours = 10): Promise<string> {
  const { id } = await rent(market, { payment_method: 'slow', duration_hours: hours });
  const amount = { amountE9s: BigInt(hours) * 10n * UNIT, currency: 'USD' };
  await notify(market.coordinator, { eventId: `paid ${id}`, contractId: id, kind: 'paid', amount });
  return id;
}

/** A contract that was delivered, cancelled after an hour, and owes the rest of its price. */
async function cancelled(hours = 10): Promise<string> {
  await market.agent.beat();
  const id = await paid(hours);
  const lease = (await market.agent.lease(50)).find(({ contract_id }) => contract_id === id);
  await market.agent.report('provisioned', id, { epoch: lease?.epoch ?? 0, data: atPrivateAddress });
  await reaches(market, id, 'active');
  await pass(market.coordinator, HOUR_MS - 1000);
  expectStatus(await cancel(market, id), 200);
  return id;
}

async function requests(query = '?status=waiting'): Promise<WireRefundRequest[]> {
  const path = `/admin/refund-requests${query}`;
  const answer = await market.coordinator.client.get<{ items: WireRefundRequest[] }>(path, { key: admin });
  return expectStatus(answer, 200).items;
}

const decide = (id: string, step: 'approve' | 'decline', body: object = {}, key = admin) =>
  market.coordinator.client.post<WireRefundRequest>(`/admin/refund-requests/${id}/${step}`, body, { key });

const calls = () =>
  market.coordinator.context.db.read.selectFrom('refund_calls').selectAll().orderBy('id').execute();

async function onlyRequest(): Promise<WireRefundRequest> {
  const [request, ...others] = await requests();
  if (request === undefined || others.length > 0) throw new Error(`${others.length} others wait`);
  return request;
}

describe('a refund above the bound', () => {
  it('waits, is owed all the time, and its renter sees since when', async () => {
    const id = await cancelled();
    await pass(market.coordinator, 10 * DAY_MS);
    expect(slow.calls).toEqual([]);
    expect(await moneyOf(market, id)).toMatchObject({ refunded: 90n * UNIT, refundDue: 90n * UNIT });
    const { refund_approval: approval, payment, ended_at } = await look(market, id);
    const amount = { amount_e9s: String(90n * UNIT), currency: 'USD' };
    expect(approval).toEqual({ status: 'waiting', amount, since: ended_at, reason: null });
    expect(payment.status).toBe('succeeded');
    expect(await onlyRequest()).toMatchObject({
      ...{ contract_id: id, amount, bound: 'per_refund', status: 'waiting', refund: `refund:${id}:end` },
      ...{ method: 'slow', cause: 'cancelled', renter_pubkey: market.renter.publicKey, sent_at: null },
    });
  });

  it('that is approved leaves once, under its own key, and says who approved it', async () => {
    const id = await cancelled();
    const request = await onlyRequest();
    expect(expectStatus(await decide(request.id, 'approve'), 200)).toMatchObject({
      status: 'approved',
      decided_by: admin.publicKey,
    });
    await contractBecomes(market, id, ({ payment }) => payment.status === 'partially_refunded');
    expect(slow.calls.map(({ key }) => key)).toEqual([`refund:${id}:end`]);
    expect(await settledMoney(market, id)).toMatchObject({ refunded: 90n * UNIT, released: 10n * UNIT });
    expect((await look(market, id)).refund_approval).toBeNull();
    // Saying it again is no second decision.
    expect((await decide(request.id, 'approve')).status).toBe(200);
    expect((await decide(request.id, 'decline', { reason: 'no' })).body).toMatchObject({
      code: 'REFUND_STATE',
    });
    expect(await requests()).toEqual([]);
    expect(await requests('?status=approved')).toHaveLength(1);
  });

  it('that is declined goes into the renter’s wallet, whole, and the renter reads why', async () => {
    const id = await cancelled();
    const { id: request } = await onlyRequest();
    expect((await decide(request, 'decline')).status).toBe(400);
    const reason = 'The health of this server looks forged.';
    expect(expectStatus(await decide(request, 'decline', { reason }), 200)).toMatchObject({
      status: 'declined',
      reason,
    });
    expect(await settledMoney(market, id)).toMatchObject({ refunded: 90n * UNIT });
    expect(slow.calls).toEqual([]);
    const { client } = market.coordinator;
    const wallet = await client.get<{ balances: unknown[] }>('/wallet', { key: market.renter });
    expect(wallet.body.balances).toEqual([{ amount_e9s: String(90n * UNIT), currency: 'USD' }]);
    expect((await look(market, id)).refund_approval).toMatchObject({ status: 'declined', reason });
  });

  it('is decided once by two admins who decide otherwise at the same moment', async () => {
    const other = await makeAdmin('other');
    await cancelled();
    const { id } = await onlyRequest();
    const answers = await Promise.all([
      decide(id, 'approve'),
      decide(id, 'decline', { reason: 'no' }, other),
    ]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409]);
    const refused = answers.find(({ status }) => status === 409);
    expect(refused?.text).toMatch(/It was (approved|declined) before, by [0-9a-f]{64} at /);
  });

  it('is not for its own renter to approve, nor for anybody who is no admin', async () => {
    await cancelled();
    const { id } = await onlyRequest();
    expect((await decide(id, 'approve', {}, market.renter)).status).toBe(403);
    await market.coordinator.context.db.write((trx) =>
      trx.updateTable('accounts').set({ is_admin: 1 }).execute(),
    );
    expect((await decide(id, 'approve', {}, market.renter)).text).toContain('This refund is your own');
    expect((await decide('01993b5e-0000-7000-8000-000000000001', 'approve')).status).toBe(404);
  });
});

describe('what was never delivered', () => {
  it('goes back in full without a person, however much it is', async () => {
    const ids = [await paid(30), await paid(30)];
    for (const id of ids) {
      await cancel(market, id);
      expect(await settledMoney(market, id)).toEqual({
        paid: 300n * UNIT,
        released: 0n,
        refunded: 300n * UNIT,
      });
    }
    expect(await requests()).toEqual([]);
  });
});

describe('the bounds of a day', () => {
  it('keep back what one renter gets beyond them, until the day is over', async () => {
    for (const hours of [5, 5]) await cancelled(hours); // 40 each
    expect(await requests()).toEqual([]);
    await cancelled(2);
    expect(await onlyRequest()).toMatchObject({ bound: 'per_renter_a_day' });
    await pass(market.coordinator, DAY_MS);
    await cancelled(2);
    expect(await requests()).toHaveLength(1);
  });

  it('keep back what all renters together get beyond them', async () => {
    for (const hours of [5, 5]) await cancelled(hours);
    const renter = await makeAccount(market.coordinator, 'second');
    market = { ...market, renter };
    await cancelled(4); // 30 more than 80
    expect(await onlyRequest()).toMatchObject({ bound: 'per_day', renter_pubkey: renter.publicKey });
  });
});

describe('the audit', () => {
  it('has each call before it is made, also those that fail, always with the same key', async () => {
    slow.failures = 2;
    const id = await paid(1);
    await cancel(market, id);
    for (let times = 1; times <= 2; times += 1) {
      await until(async () => (await calls()).filter(({ outcome }) => outcome === 'error').length === times);
      await pass(market.coordinator, HOUR_MS);
    }
    await settledMoney(market, id);
    const rows = await calls();
    expect(rows.map(({ outcome }) => outcome)).toEqual(['error', 'error', 'succeeded']);
    expect(new Set(rows.map(({ call_key: key }) => key))).toEqual(new Set([`refund:${id}:end`]));
    expect(rows[0]?.detail).toContain('SERVICE_UNAVAILABLE');
    const answer = await market.coordinator.client.get<{ items: unknown[] }>(
      `/admin/refund-calls?contract_id=${id}`,
      { key: admin },
    );
    expect(expectStatus(answer, 200).items).toHaveLength(3);
  });

  it('knows of a call whose answer was lost with the process', async () => {
    await open(false);
    const id = await paid(1);
    await cancel(market, id);
    const { context } = market.coordinator;
    const plan = new CrashPlan(4); // The row, then the call: it was made, and nobody heard the answer.
    const crashing = new Map([[slow.method, crashingProvider(slow, plan)]]);
    const key = `refund:${id}:end`;
    const signal = new AbortController().signal;
    await expect(sendRefund(crashingContext(context, plan), crashing, key, signal)).rejects.toThrow(Crash);
    expect(await calls()).toMatchObject([{ call_key: key, outcome: null, answered_at: null }]);
    expect(slow.paidBack.size).toBe(1);
    market.coordinator.clock.jump(1); // Ids sort by the millisecond.
    await sendRefund(context, new Map([[slow.method, slow]]), key, signal);
    expect((await calls()).map(({ outcome }) => outcome)).toEqual([null, 'succeeded']);
    expect(slow.paidBack.size).toBe(1);
  });
});

it('a refund that keeps failing is never given up, and is shown to the operator', async () => {
  slow.failures = 200;
  const id = await paid(1);
  await cancel(market, id);
  const row = () =>
    market.coordinator.context.db.read
      .selectFrom('outbox')
      .select(['attempts', 'leased_by', 'needs_attention_at'])
      .where('topic', '=', 'payment.refund')
      .executeTakeFirstOrThrow();
  for (let times = 1; times <= 152; times += 1) {
    await until(async () => slow.calls.length >= times && (await row()).leased_by === null, `try ${times}`);
    await pass(market.coordinator, HOUR_MS);
  }
  expect(await row()).toMatchObject({ needs_attention_at: null });
  slow.failures = 0;
  await pass(market.coordinator, HOUR_MS);
  expect(await settledMoney(market, id)).toMatchObject({ refunded: 10n * UNIT });
}, 60_000);

it.each(['approved', 'declined'] as const)(
  'a refund that is %s is settled once, whichever write or call the program dies at',
  async (decision) => {
    await open(false);
    const { context } = market.coordinator;
    let crashes = 0;
    for (let at = 1; at < 30; at += 1) {
      const id = await makeWaiting(context);
      const key = `refund:${id}:end`;
      const plan = new CrashPlan(at);
      const run = async (with_: typeof context, provider = slow as never) => {
        const row = await context.db.read
          .selectFrom('refund_requests')
          .select('id')
          .where('refund_key', '=', key)
          .executeTakeFirstOrThrow();
        const wanted = { decision, by: admin.publicKey, reason: 'test' };
        await with_.db.write((trx) => decideRefund(with_, trx, row.id, wanted));
        await sendRefund(with_, new Map([['slow', provider]]), key, new AbortController().signal);
      };
      const crashed = await run(crashingContext(context, plan), crashingProvider(slow, plan) as never).then(
        () => false,
        (error: unknown) => {
          if (!(error instanceof Crash)) throw error;
          return true;
        },
      );
      await run(context);
      expect(slow.paidBack.has(key)).toBe(decision === 'approved');
      expect(await settledMoney(market, id)).toMatchObject({ refunded: 90n * UNIT });
      if (!crashed) break;
      crashes += 1;
    }
    expect(crashes).toBe(decision === 'approved' ? 10 : 2);
  },
  60_000,
);

/** As `cancelled`, with the jobs standing still. */
async function makeWaiting(context: Market['coordinator']['context']): Promise<string> {
  await market.agent.beat();
  const id = await paid();
  const lease = (await market.agent.lease(50)).find(({ contract_id }) => contract_id === id);
  await market.agent.report('provisioned', id, { epoch: lease?.epoch ?? 0, data: atPrivateAddress });

  await verifyDelivery(context, id);
  market.coordinator.clock.jump(HOUR_MS);
  expectStatus<WireContract>(await cancel(market, id), 200);
  return id;
}
