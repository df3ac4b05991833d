import { beforeEach, describe, expect, it } from 'vitest';
import { dumpDatabase } from '../testing/dump-database.ts';
import {
  cancel,
  contractBecomes,
  look,
  moneyOf,
  openMarket,
  reaches,
  rent,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import type { PaymentNotice } from './payment-provider.ts';
import { notify, SlowPayment } from './testing/slow-payment.ts';

const PRICE = 100_000_000n;
const ALL_BACK = { paid: PRICE, released: 0n, refunded: PRICE };
const NOTHING = { paid: 0n, released: 0n, refunded: 0n, refundDue: 0n, escrow: 0n };

let market: Market;
let slow: SlowPayment;
let id: string;
beforeEach(async () => {
  slow = new SlowPayment();
  market = await openMarket({ coordinator: await startTestCoordinator({ payments: [slow] }) });
  ({ id } = await rent(market, { payment_method: 'slow' }));
});

const notice = (kind: PaymentNotice['kind'], eventId: string, amountE9s = PRICE, currency = 'USD') => ({
  eventId,
  contractId: id,
  kind,
  amount: { amountE9s, currency },
});
const say = (word: PaymentNotice, method?: string): Promise<boolean> =>
  notify(market.coordinator, word, method);
const events = () =>
  market.coordinator.context.db.read
    .selectFrom('payment_events')
    .select('event_id')
    .orderBy('event_id')
    .execute();

/** A notice that is refused must change nothing at all. */
async function refused(word: PaymentNotice, code: string, method?: string): Promise<void> {
  const { read } = market.coordinator.context.db;
  const before = await dumpDatabase(read);
  await expect(say(word, method)).rejects.toMatchObject({ code });
  expect(await dumpDatabase(read)).toEqual(before);
}

describe('a contract whose money comes later', () => {
  it('waits for it unpaid, and no agent gets it', async () => {
    expect(await look(market, id)).toMatchObject({
      state: 'requested',
      payment: { method: 'slow', status: 'pending' },
      paid_at: null,
      refund_if_cancelled_now: { amount_e9s: '0' },
    });
    expect(await market.agent.lease()).toEqual([]);
    expect(await moneyOf(market, id)).toEqual(NOTHING);
  });

  it('is accepted in the transaction that books the money', async () => {
    await market.coordinator.clock.advance(2500);
    expect(await say(notice('paid', 'evt_1'))).toBe(true);
    const paid = await look(market, id);
    expect(paid).toMatchObject({ state: 'accepted', payment: { status: 'succeeded' } });
    expect(paid.stages[0]).toMatchObject({ name: 'payment', duration_ms: 2500 });
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    expect(await market.agent.leaseOne()).toMatchObject({ contract_id: id });
  });
});

describe('a notice', () => {
  it('that comes again changes nothing, however often and whenever', async () => {
    await say(notice('paid', 'evt_1'));
    const before = await dumpDatabase(market.coordinator.context.db.read);
    expect(await say(notice('paid', 'evt_1'))).toBe(false);
    await market.coordinator.clock.advance(30_000);
    expect(await say(notice('paid', 'evt_1'))).toBe(false);
    expect(await dumpDatabase(market.coordinator.context.db.read)).toEqual(before);
  });

  it('that comes ten times at once counts once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => say(notice('paid', 'evt_1'))));
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    expect((await look(market, id)).timeline).toHaveLength(2);
  });

  it('that comes again after the refund pays nothing a second time', async () => {
    await say(notice('paid', 'evt_1'));
    await cancel(market, id);
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect(await say(notice('paid', 'evt_1'))).toBe(false);
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect(slow.calls).toHaveLength(1);
    await until(async () => (await look(market, id)).payment.status === 'refunded');
  });

  it.each([
    ['less than the price', PRICE - 1n, 'USD'],
    ['more than the price', PRICE + 1n, 'USD'],
    ['nothing', 0n, 'USD'],
    ['a negative amount', -PRICE, 'USD'],
    ['another currency', PRICE, 'EUR'],
  ])(
    'of %s is refused and not remembered, so that the right one still counts',
    async (_, amount, currency) => {
      await refused(notice('paid', 'evt_1', amount, currency), 'LEDGER_REFUSED');
      expect(await look(market, id)).toMatchObject({ state: 'requested', payment: { status: 'pending' } });
      expect(await say(notice('paid', 'evt_1'))).toBe(true);
      expect(await look(market, id)).toMatchObject({ state: 'accepted' });
    },
  );

  it('of a second payment is booked and goes back, and the contract goes on as it was', async () => {
    await say(notice('paid', 'evt_1'));
    expect(await say(notice('paid', 'evt_2'))).toBe(true);
    expect(await say(notice('paid', 'evt_3', 5n))).toBe(true);
    expect(await say(notice('paid', 'evt_2'))).toBe(false);
    await until(async () => (await moneyOf(market, id)).refundDue === 0n);
    expect(await moneyOf(market, id)).toMatchObject({ paid: 2n * PRICE + 5n, escrow: PRICE });
    expect([...slow.paidBack.keys()].toSorted()).toEqual([
      `refund:${id}:payment:evt_2`,
      `refund:${id}:payment:evt_3`,
    ]);
    expect(await look(market, id)).toMatchObject({ state: 'accepted', payment: { status: 'succeeded' } });
    await cancel(market, id);
    expect(await settledMoney(market, id)).toMatchObject({ released: 0n, refunded: 2n * PRICE + 5n });
    await until(async () => (await look(market, id)).payment.status === 'refunded');
  });

  it('of a second payment after the refund goes back as well', async () => {
    await say(notice('paid', 'evt_1'));
    await cancel(market, id);
    await say(notice('paid', 'evt_2'));
    expect(await settledMoney(market, id)).toEqual({ paid: 2n * PRICE, released: 0n, refunded: 2n * PRICE });
  });

  it('by another way of paying than the contract’s is refused', async () => {
    await refused(notice('paid', 'evt_1'), 'LEDGER_REFUSED', 'test');
  });

  it('for a contract that nobody knows is refused', async () => {
    const contractId = '01993b5e-0000-7000-8000-000000000000';
    await refused({ ...notice('paid', 'evt_1'), contractId }, 'CONTRACT_NOT_FOUND');
  });

  it('has an id that counts for its way of paying only', async () => {
    const other = await rent(market);
    await say(notice('paid', `test:${other.id}:paid`));
    expect(await look(market, id)).toMatchObject({ payment: { status: 'succeeded' } });
    expect(await events()).toHaveLength(2);
  });
});

describe('a payment that failed', () => {
  it('ends the contract, and costs nothing', async () => {
    await say(notice('failed', 'evt_1'));
    expect(await look(market, id)).toMatchObject({
      state: 'cancelled',
      release: 'none',
      payment: { status: 'failed' },
      refunded: null,
    });
    expect((await look(market, id)).timeline.at(-1)).toMatchObject({
      actor: 'system',
      reason: 'The payment failed.',
    });
    expect(await moneyOf(market, id)).toEqual(NOTHING);
  });

  it('and that succeeds after all is refunded in full: the contract has ended', async () => {
    await say(notice('failed', 'evt_1'));
    expect(await say(notice('paid', 'evt_2'))).toBe(true);
    const after = await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(after).toMatchObject({ state: 'cancelled', refunded: { amount_e9s: PRICE.toString() } });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
  });

  it('after it had succeeded takes nothing back', async () => {
    await say(notice('paid', 'evt_2'));
    expect(await say(notice('failed', 'evt_1'))).toBe(true);
    expect(await look(market, id)).toMatchObject({ state: 'accepted', payment: { status: 'succeeded' } });
    expect(await events()).toEqual([{ event_id: 'evt_1' }, { event_id: 'evt_2' }]);
  });

  it('after the renter has left is noted, and changes the contract no more', async () => {
    const { body: cancelled } = await cancel(market, id);
    await say(notice('failed', 'evt_1'));
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', payment: { status: 'failed' } });
    expect((await look(market, id)).timeline).toEqual(cancelled.timeline);
    await say(notice('paid', 'evt_2'));
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
  });

  it('in whatever order and however often its notices come, ends with the same books', async () => {
    const words = [notice('failed', 'f'), notice('paid', 'p'), notice('failed', 'f'), notice('paid', 'p')];
    for (const word of words) await say(word);
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    const { id: second } = await rent(market, { payment_method: 'slow' });
    const reordered = [1, 0, 3, 2].map((index) => ({
      ...words[index]!,
      contractId: second,
      eventId: `${words[index]!.eventId}2`,
    }));
    for (const word of reordered) await say(word);
    expect(await reaches(market, second, 'accepted')).toMatchObject({ payment: { status: 'succeeded' } });
    expect(await moneyOf(market, second)).toMatchObject({ paid: PRICE, escrow: PRICE });
  });
});

describe('the test method', () => {
  it('is one way of paying among others: an event with an id, and postings from its own processor', async () => {
    const { id: free } = await rent(market);
    const { read } = market.coordinator.context.db;
    const event = await read
      .selectFrom('payment_events')
      .selectAll()
      .where('contract_id', '=', free)
      .executeTakeFirstOrThrow();
    expect(event).toMatchObject({ method: 'test', event_id: `test:${free}:paid`, amount_e9s: PRICE });
    const postings = await read
      .selectFrom('ledger_postings')
      .innerJoin('ledger_sets', 'ledger_sets.id', 'ledger_postings.set_id')
      .select(['cause', 'account', 'amount_e9s'])
      .where('contract_id', '=', free)
      .orderBy('line')
      .execute();
    expect(postings).toEqual([
      { cause: `payment:test:test:${free}:paid`, account: 'processor:test', amount_e9s: -PRICE },
      { cause: `payment:test:test:${free}:paid`, account: `escrow:${free}`, amount_e9s: PRICE },
    ]);
  });
});
