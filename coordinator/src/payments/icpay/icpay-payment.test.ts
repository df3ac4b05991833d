import { beforeEach, describe, expect, it } from 'vitest';
import { cancel, contractBecomes, look, moneyOf, reaches, rent } from '../../testing/rental.ts';
import { until } from '../../testing/test-coordinator.ts';
import { PRICE } from '../stripe/testing/stripe-market.ts';
import { intentOf, openIcpayMarket, type IcpayMarket } from './testing/icpay-market.ts';

let market: IcpayMarket;
beforeEach(async () => {
  market = await openIcpayMarket();
});

async function rentByIcpay(): Promise<{ id: string; intentId: string }> {
  const { id, payment } = await rent(market, { payment_method: 'icpay' });
  return { id, intentId: intentOf(payment.checkout_url) };
}

/** Time for the question that an event makes the coordinator ask. */
async function asked(): Promise<void> {
  await until(async () => {
    const row = await market.coordinator.context.db.read
      .selectFrom('outbox')
      .select('done_at')
      .where('topic', '=', 'payment.look')
      .executeTakeFirst();
    return row?.done_at != null;
  }, 'the question');
}

describe('a payment by ICPay', () => {
  it('counts when its API says so, and not because a webhook does', async () => {
    const { id, intentId } = await rentByIcpay();
    const { standIn, deliver } = market;
    const payment = {
      ...{
        id: 'pay_false',
        paymentIntentId: intentId,
        amount: '1',
        ledgerCanisterId: 'x',
        status: 'completed',
      },
    };
    const event = { id: 'evt_false', type: 'payment.completed', data: { object: payment } };
    expect(await standIn.send(event, deliver)).toBe(200);
    await asked().catch(() => undefined);
    expect((await look(market, id)).state).toBe('requested');
    expect(await moneyOf(market, id)).toMatchObject({ paid: 0n });
  });

  it.each([
    ['less of the token', { amount: '1' }],
    ['more of the token', { amount: '99999999999' }],
    ['another token', { ledgerCanisterId: 'another-ledger' }],
    ['less, and says that it is whole', { paidAmount: '1' }],
  ])('of %s pays nothing, and is kept for a person', async (_name, change) => {
    const { id, intentId } = await rentByIcpay();
    market.standIn.pay(intentId, change);
    await asked();
    expect((await look(market, id)).state).toBe('requested');
    expect(await moneyOf(market, id)).toMatchObject({ paid: 0n });
    const kept = await market.coordinator.context.db.read
      .selectFrom('provider_events')
      .select('outcome')
      .where('outcome', '=', 'mismatch')
      .execute();
    expect(kept).toHaveLength(1);
  });

  it('is the same payment whether its transaction or its own id is known first', async () => {
    const { id, intentId } = await rentByIcpay();
    market.standIn.deliverTo(null);
    const payment = market.standIn.pay(intentId, { transactionId: null });
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    await reaches(market, id, 'accepted');
    market.standIn.emit('payment.completed', { ...payment, transactionId: 'tx_late' });
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE });
    const row = await market.coordinator.context.db.read
      .selectFrom('payments')
      .selectAll()
      .executeTakeFirst();
    expect(row).toMatchObject({ external_id: intentId, payment_ref: payment.id, charge_ref: 'tx_late' });
  });

  it('whose refund’s answer is lost is not refunded again: asking tells what became of it', async () => {
    const { id, intentId } = await rentByIcpay();
    market.standIn.pay(intentId);
    await reaches(market, id, 'accepted');
    // The questions before the refund are answered, the refund itself is not.
    market.standIn.losesRefundAnswers = true;
    expect((await cancel(market, id)).status).toBe(200);
    await until(() => market.standIn.refunds.length === 1, 'the refund');
    await market.coordinator.clock.advance(1_000);
    market.coordinator.clock.jump(3_700_000);
    await market.coordinator.clock.advance(35_000);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(market.standIn.refunds).toHaveLength(1);
    expect(await moneyOf(market, id)).toMatchObject({ refunded: PRICE, refundDue: 0n });
  });

  it('is taken by bare signatures only where that is configured', async () => {
    market.standIn.signs = 'bare';
    const event = { id: 'evt_1', type: 'payment.created', data: { object: {} } };
    expect(await market.standIn.send(event, market.deliver)).toBe(401);
    const bare = await openIcpayMarket({ icpay: { webhookSignature: 'bare' } });
    bare.standIn.signs = 'bare';
    expect(await bare.standIn.send(event, bare.deliver)).toBe(200);
    bare.standIn.signs = 'timed';
    expect(await bare.standIn.send({ ...event, id: 'evt_2' }, bare.deliver)).toBe(401);
  });
});
