import { beforeEach, describe, expect, it } from 'vitest';
import {
  cancel,
  contractBecomes,
  HOUR_MS,
  look,
  moneyOf,
  openMarket,
  pass,
  rent,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { sendRefund } from './refund-job.ts';
import { notify, SlowPayment } from './testing/slow-payment.ts';

const PRICE = 100_000_000n;
const amount = { amountE9s: PRICE, currency: 'USD' };
const ALL_BACK = { paid: PRICE, released: 0n, refunded: PRICE };

let market: Market;
let slow: SlowPayment;
beforeEach(async () => {
  slow = new SlowPayment();
  market = await openMarket({ coordinator: await startTestCoordinator({ payments: [slow] }) });
});

/** A contract that was paid slowly and is cancelled: its refund is on its way. */
async function cancelPaid(): Promise<string> {
  const { id } = await rent(market, { payment_method: 'slow' });
  await notify(market.coordinator, { eventId: `paid ${id}`, contractId: id, kind: 'paid', amount });
  expect((await cancel(market, id)).status).toBe(200);
  return id;
}

/** Waits until the last attempt has been written down. */
async function attempted(times: number): Promise<void> {
  await until(async () => {
    const row = await market.coordinator.context.db.read
      .selectFrom('outbox')
      .select(['attempts', 'leased_by'])
      .where('topic', '=', 'payment.refund')
      .executeTakeFirstOrThrow();
    return slow.calls.length >= times && row.leased_by === null;
  }, `attempt ${times}`);
}

/** The postings that confirm refunds. */
const confirmations = () =>
  market.coordinator.context.db.read
    .selectFrom('ledger_sets')
    .select(['cause', 'contract_id'])
    .where('kind', '=', 'refund_confirmed')
    .execute();

describe('a refund', () => {
  it('is owed from the decision on, and shows as refunded only when the provider has confirmed it', async () => {
    slow.failures = 1;
    const id = await cancelPaid();
    await attempted(1);
    expect(await moneyOf(market, id)).toEqual({
      paid: PRICE,
      released: 0n,
      refunded: PRICE,
      refundDue: PRICE,
      escrow: 0n,
    });
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', payment: { status: 'succeeded' } });
    await pass(market.coordinator, HOUR_MS);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
  });

  it.each([
    ['failed five times', false],
    ['answered five times with an error although the money had moved', true],
  ])('whose provider %s is paid once, always under the same key', async (_, losesAnswers) => {
    slow.failures = 5;
    slow.losesAnswers = losesAnswers;
    const id = await cancelPaid();
    for (let times = 1; times <= 5; times += 1) {
      await attempted(times);
      await pass(market.coordinator, HOUR_MS);
    }
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    const key = `refund:${id}:end`;
    expect(slow.calls).toEqual(Array(6).fill({ key, contractId: id, amount }));
    expect([...slow.paidBack.keys()]).toEqual([key]);
    expect(await confirmations()).toEqual([{ cause: `${key}:confirmed`, contract_id: id }]);
  });

  it('is confirmed once when its job runs again after a crash, or twice at a time', async () => {
    const id = await cancelPaid();
    await settledMoney(market, id);
    const { context } = market.coordinator;
    const payments = new Map([[slow.method, slow]]);
    const run = () => sendRefund(context, payments, `refund:${id}:end`, new AbortController().signal);
    // The outbox row was not marked as done before the crash.
    await Promise.all([run(), run()]);
    expect(await confirmations()).toHaveLength(1);
    expect(slow.calls).toHaveLength(1);
  });

  it('whose provider was asked by two jobs at once is confirmed once', async () => {
    const coordinator = await startTestCoordinator({ payments: [slow], startsWork: false });
    market = await openMarket({ coordinator });
    const id = await cancelPaid();
    const payments = new Map([[slow.method, slow]]);
    const run = () =>
      sendRefund(coordinator.context, payments, `refund:${id}:end`, new AbortController().signal);
    await Promise.all([run(), run(), run()]);
    expect(slow.calls).toHaveLength(3);
    expect([...slow.paidBack.keys()]).toEqual([`refund:${id}:end`]);
    expect(await confirmations()).toHaveLength(1);
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
  });

  it('waits while its way of paying is not configured, and leaves when it is again', async () => {
    const { folder, clock } = market.coordinator;
    slow.failures = 1;
    const id = await cancelPaid();
    await attempted(1);
    await market.coordinator.stop(1000);

    const without = { ...market, coordinator: await startTestCoordinator({ folder, clock }) };
    await pass(without.coordinator, HOUR_MS);
    await until(async () => {
      const row = await without.coordinator.context.db.read
        .selectFrom('outbox')
        .select('last_error')
        .where('topic', '=', 'payment.refund')
        .executeTakeFirstOrThrow();
      return row.last_error?.includes('not configured') === true;
    }, 'the failed attempt');
    expect(await moneyOf(without, id)).toMatchObject({ refundDue: PRICE });
    await without.coordinator.stop(1000);

    const coordinator = await startTestCoordinator({ folder, clock, payments: [slow] });
    await pass(coordinator, HOUR_MS);
    expect(await settledMoney({ ...market, coordinator }, id)).toEqual(ALL_BACK);
  });

  it('of a part says so', async () => {
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, HOUR_MS - 1000);
    await cancel(market, id);
    const after = await contractBecomes(market, id, ({ payment }) => payment.status !== 'succeeded');
    expect(after).toMatchObject({
      payment: { status: 'partially_refunded' },
      refunded: { amount_e9s: '90000000' },
    });
  });

  it('that nobody decided is nothing to do', async () => {
    const { context } = market.coordinator;
    await sendRefund(context, new Map(), 'refund:nothing:end', new AbortController().signal);
    expect(await confirmations()).toEqual([]);
  });
});
