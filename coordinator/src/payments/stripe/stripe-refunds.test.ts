import { beforeEach, describe, expect, it } from 'vitest';
import { cancel, contractBecomes, look, moneyOf, pass, reaches } from '../../testing/rental.ts';
import { until } from '../../testing/test-coordinator.ts';
import { balanceOf } from '../ledger-store.ts';
import { accounts } from '../ledger.ts';
import { verifyLedger } from '../ledger-verify.ts';
import {
  openStripeMarket,
  PRICE,
  rentByStripe,
  rentCaptured,
  type StripeMarket,
} from './testing/stripe-market.ts';

let market: StripeMarket;
beforeEach(async () => {
  market = await openStripeMarket();
});

const balance = async (account: string): Promise<bigint> =>
  (await balanceOf(market.coordinator.context.db.read, account, 'USD')).amountE9s;
const walletBalance = () => balance(accounts.renterWallet(market.renter.publicKey));

async function expectBooksAgree(): Promise<void> {
  const ours = -(await balance(accounts.processor('stripe')));
  expect(ours).toBe(BigInt(market.standIn.books.holds('usd')) * 10_000_000n);
  expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  expect(market.standIn.findings).toEqual([]);
}

/** A contract that is cancelled before anything of it was used. */
async function cancelUnused(): Promise<{ id: string; intentId: string }> {
  const { id, session } = await rentByStripe(market);
  const intent = market.standIn.books.pay(session.id);
  await reaches(market, id, 'accepted');
  expect((await cancel(market, id)).status).toBe(200);
  return { id, intentId: intent.id };
}

describe('a refund by Stripe', () => {
  beforeEach(async () => {
    market = await openStripeMarket({ stripe: { capture: 'at_once' } });
  });

  it('whose answer is lost is asked for again, and made once', async () => {
    market.standIn.faults.length = 0;
    const { id, session } = await rentByStripe(market);
    market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    // The library repeats once by itself what breaks off; then the job does.
    market.standIn.faults.push(
      'answer_lost',
      'answer_lost',
      'unavailable',
      'rate_limited',
      'connection_lost',
    );
    expect((await cancel(market, id)).status).toBe(200);
    await until(async () => {
      await market.coordinator.clock.advance(5_000);
      return (await look(market, id)).payment.status === 'refunded';
    }, 'the refund');
    expect([...market.standIn.books.refunds.values()]).toMatchObject([{ amount: 100 }]);
    await expectBooksAgree();
  });

  it('is made once even when Stripe has forgotten the idempotency key', async () => {
    const { id } = await cancelUnused();
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    const { db } = market.coordinator.context;
    const isDone = async () =>
      (
        await db.read
          .selectFrom('outbox')
          .select('done_at')
          .where('topic', '=', 'payment.refund')
          .executeTakeFirst()
      )?.done_at != null;
    await until(isDone, 'the end of the job');
    // As after a restore from a backup: we do not know that it was sent.
    await db.write(async (trx) => {
      await trx.updateTable('payment_refunds').set({ state: 'planned', external_id: null }).execute();
      await trx.updateTable('refunds').set({ confirmed_at: null }).execute();
      await trx
        .updateTable('outbox')
        .set({ done_at: null, not_before_at: 0 })
        .where('topic', '=', 'payment.refund')
        .execute();
    });
    market.standIn.forgetIdempotencyKeys();
    await market.coordinator.clock.advance(5_000);
    await until(
      async () =>
        (await db.read.selectFrom('refunds').select('confirmed_at').executeTakeFirst())?.confirmed_at !==
        null,
      'the refund',
    );
    expect(market.standIn.books.refunds.size).toBe(1);
  });

  it('that is pending shows as on its way until Stripe says that it has arrived', async () => {
    market.standIn.refundStatus = 'pending';
    const { id } = await cancelUnused();
    await until(() => market.standIn.books.refunds.size === 1, 'the refund');
    await market.coordinator.clock.advance(5_000);
    expect((await look(market, id)).payment.status).toBe('succeeded');
    expect(await moneyOf(market, id)).toMatchObject({ refundDue: PRICE });
    market.standIn.books.settleRefund([...market.standIn.books.refunds.keys()][0] ?? '', 'succeeded');
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    await expectBooksAgree();
  });

  it('that is pending is found by asking, where no event ever tells', async () => {
    market.standIn.refundStatus = 'pending';
    const { id } = await cancelUnused();
    await until(() => market.standIn.books.refunds.size === 1, 'the refund');
    market.standIn.deliverTo(null);
    market.standIn.books.settleRefund([...market.standIn.books.refunds.keys()][0] ?? '', 'succeeded');
    await market.coordinator.clock.advance(1_000);
    await pass(market.coordinator, 3_700_000);
    await market.coordinator.clock.advance(35_000);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
  });

  it('that fails, at once or days after it had arrived, goes into the wallet', async () => {
    market.standIn.refundStatus = 'pending';
    const { id } = await cancelUnused();
    await until(() => market.standIn.books.refunds.size === 1, 'the refund');
    market.standIn.books.settleRefund([...market.standIn.books.refunds.keys()][0] ?? '', 'failed');
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(await walletBalance()).toBe(PRICE);
    await expectBooksAgree();

    market.standIn.refundStatus = 'succeeded';
    const second = await cancelUnused();
    await contractBecomes(market, second.id, ({ payment }) => payment.status === 'refunded');
    market.standIn.books.settleRefund([...market.standIn.books.refunds.keys()][1] ?? '', 'failed');
    await until(async () => (await walletBalance()) === 2n * PRICE, 'the credit');
    await expectBooksAgree();
  });

  it('goes into the wallet where the renter chose so, and a dead contract’s late money too', async () => {
    market.standIn.deliverTo(null);
    const { id, session } = await rentByStripe(market, { refund_to: 'wallet' });
    market.standIn.books.pay(session.id);
    expect((await cancel(market, id)).status).toBe(200);
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(market.standIn.books.refunds.size).toBe(0);
    expect(await walletBalance()).toBe(PRICE);
    await expectBooksAgree();
  });
});

describe('a refund made by hand in Stripe’s dashboard', () => {
  it('of everything ends the contract, and nothing is refunded twice', async () => {
    const { id, intentId } = await rentCaptured(market);
    market.standIn.books.refund({ payment_intent: intentId });
    const ended = await reaches(market, id, 'cancelled');
    expect(ended.refunded?.amount_e9s).toBeDefined();
    await market.coordinator.clock.advance(5_000);
    expect(market.standIn.books.refunds.size).toBe(1);
    await expectBooksAgree();
  });

  it('of a part is ours to give: the rental goes on with its money', async () => {
    const { id, intentId } = await rentCaptured(market);
    market.standIn.books.refund({ payment_intent: intentId, amount: '30' });
    await until(async () => (await balance(accounts.platformRevenue)) === -300_000_000n, 'the booking');
    expect(await look(market, id)).toMatchObject({ state: 'active' });
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    await expectBooksAgree();
  });

  it('of a part counts towards what the contract owes when it ends, also where nobody told of it', async () => {
    const { id, intentId } = await rentCaptured(market);
    market.standIn.deliverTo(null);
    market.standIn.books.refund({ payment_intent: intentId, amount: '30' });
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status.endsWith('refunded'));
    const { refunded } = await look(market, id);
    const sent = [...market.standIn.books.refunds.values()].reduce((sum, { amount }) => sum + amount, 0);
    expect(BigInt(sent) * 10_000_000n + (await walletBalance())).toBe(BigInt(refunded?.amount_e9s ?? '0'));
    expect(await balance(accounts.platformRevenue)).toBe(0n);
    await expectBooksAgree();
  });

  it('that was counted and then comes back is put into the wallet', async () => {
    const { id, intentId } = await rentCaptured(market);
    const byHand = market.standIn.books.refund({ payment_intent: intentId, amount: '30' });
    await until(async () => (await balance(accounts.platformRevenue)) === -300_000_000n, 'the booking');
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status.endsWith('refunded'));
    const before = await walletBalance();
    market.standIn.books.settleRefund(byHand.id, 'failed');
    await until(async () => (await walletBalance()) === before + 300_000_000n, 'the wallet');
    expect(await balance(accounts.platformRevenue)).toBe(0n);
    await expectBooksAgree();
  });

  it('by us, in a time that a restored backup does not know, ends the contract and is not made again', async () => {
    const { id, intentId } = await rentCaptured(market);
    const metadata = { dc_refund: `refund:${id}:end#1` };
    market.standIn.books.refund({ payment_intent: intentId, amount: '30', metadata });
    await reaches(market, id, 'cancelled');
    await contractBecomes(market, id, ({ payment }) => payment.status.endsWith('refunded'));
    const refunds = [...market.standIn.books.refunds.values()];
    expect(refunds.map((refund) => refund.metadata['dc_refund'])).toEqual([
      `refund:${id}:end#1`,
      `refund:${id}:end#2`,
    ]);
    expect(await balance(accounts.platformRevenue)).toBe(0n);
    await expectBooksAgree();
  });
});

describe('an authorisation', () => {
  it('that the bank lets run out before it was taken ends the contract, with nothing owed', async () => {
    const { id, session } = await rentByStripe(market);
    const intent = market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    market.standIn.books.cancel(intent.id);
    await reaches(market, id, 'cancelled');
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    await expectBooksAgree();
  });
});
