import { beforeEach, describe, expect, it } from 'vitest';
import { verifyLedger } from '../ledger-verify.ts';
import { cancel, contractBecomes, look, moneyOf, pass, reaches } from '../../testing/rental.ts';
import { makeAccount } from '../../testing/people.ts';
import { balanceOf } from '../ledger-store.ts';
import { accounts } from '../ledger.ts';
import {
  openStripeMarket,
  PRICE,
  rentByStripe,
  rentCaptured,
  type StripeMarket,
} from './testing/stripe-market.ts';

let market: StripeMarket;
let admins = 0;
beforeEach(async () => {
  market = await openStripeMarket();
});

const balance = async (account: string): Promise<bigint> =>
  (await balanceOf(market.coordinator.context.db.read, account, 'USD')).amountE9s;

/** Our books of what Stripe holds for us agree with Stripe's own, and the ledger with itself. */
async function expectBooksAgree(): Promise<void> {
  const ours = -(await balance(accounts.processor('stripe')));
  expect(ours).toBe(BigInt(market.standIn.books.holds('usd')) * 10_000_000n);
  expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  expect(market.standIn.findings).toEqual([]);
}

async function disputesSeen() {
  const { context } = market.coordinator;
  const name = `admin${String(admins++)}`;
  const admin = await makeAccount(market.coordinator, name);
  await context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('username', '=', name).execute(),
  );
  const answer = await market.coordinator.client.get<{ items: Record<string, unknown>[] }>(
    '/admin/disputes',
    {
      key: admin,
    },
  );
  return answer.body.items;
}

describe('a dispute', () => {
  it('pauses the rental, holds the money, and blocks cancelling until it is decided', async () => {
    const { id, intentId } = await rentCaptured(market);
    const dispute = market.standIn.books.dispute(intentId);
    const paused = await reaches(market, id, 'paused');
    expect(paused.payment.status).toBe('disputed');
    expect(await balance(accounts.disputeHeld(dispute.id))).toBe(PRICE);
    expect(await cancel(market, id)).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
    expect(await disputesSeen()).toMatchObject([
      { id: dispute.id, contract_id: id, status: 'open', funds: 'withdrawn', reason: 'fraudulent' },
    ]);
    await expectBooksAgree();
  });

  it('that is won resumes the rental with its money and its time', async () => {
    const { id, intentId } = await rentCaptured(market);
    const dispute = market.standIn.books.dispute(intentId);
    await reaches(market, id, 'paused');
    await pass(market.coordinator, 3_600_000);
    market.standIn.books.closeDispute(dispute.id, 'won');
    const resumed = await reaches(market, id, 'active');
    expect(resumed.payment.status).toBe('succeeded');
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    expect(await balance(accounts.disputeHeld(dispute.id))).toBe(0n);
    await contractBecomes(market, id, () => true);
    await expectBooksAgree();
  });

  it('that is lost ends the rental and refunds nothing: the bank has paid the payer', async () => {
    const { id, intentId } = await rentCaptured(market);
    const dispute = market.standIn.books.dispute(intentId);
    await reaches(market, id, 'paused');
    market.standIn.books.closeDispute(dispute.id, 'lost');
    const ended = await reaches(market, id, 'cancelled');
    expect(ended).toMatchObject({ refunded: null, payment: { status: 'disputed' } });
    expect(market.standIn.books.refunds.size).toBe(0);
    expect(await balance(accounts.disputeHeld(dispute.id))).toBe(0n);
    expect(await balance(accounts.disputeWithdrawn(dispute.id))).toBe(0n);
    await expectBooksAgree();
  });

  it('that is lost about one payment of several leaves nothing behind: the rest goes back', async () => {
    const { id } = await rentCaptured(market);
    const { coordinator, renter, standIn } = market;
    const extended = await coordinator.client.post(
      `/contracts/${id}/extend`,
      { hours: 5 },
      { key: renter, idempotencyKey: 'more' },
    );
    expect(extended.status).toBeLessThan(300);
    const { extensions } = await contractBecomes(market, id, (contract) =>
      Boolean(contract.extensions?.[0]?.checkout_url),
    );
    const intent = standIn.books.pay(extensions?.[0]?.checkout_url?.split('/').at(-1) ?? '');
    await contractBecomes(market, id, ({ duration_hours }) => duration_hours === 15);
    const dispute = standIn.books.dispute(intent.id);
    await reaches(market, id, 'paused');
    expect(await balance(accounts.escrow(id))).toBe(PRICE);
    standIn.books.closeDispute(dispute.id, 'lost');
    await reaches(market, id, 'cancelled');
    expect(await balance(accounts.escrow(id))).toBe(0n);
    expect(await moneyOf(market, id)).toMatchObject({ refunded: PRICE });
    await contractBecomes(market, id, ({ refunded }) => refunded !== null);
    expect((await verifyLedger(coordinator.context.db)).firstProblem).toBeNull();
  });

  it('is the same in whatever order its events come, and however often', async () => {
    const { id, intentId } = await rentCaptured(market);
    market.standIn.deliverTo(null);
    const from = market.standIn.events.length;
    const dispute = market.standIn.books.dispute(intentId);
    market.standIn.books.closeDispute(dispute.id, 'lost');
    const events = market.standIn.events.slice(from).reverse();
    for (const event of [...events, ...events, ...events.toReversed()])
      expect(await market.standIn.send(event, market.deliver)).toBe(200);
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', refunded: null });
    await expectBooksAgree();
  });

  it('before the instance is there ends the contract, and what was to be refunded is held', async () => {
    market = await openStripeMarket({ stripe: { capture: 'at_once' } });
    const { id, session } = await rentByStripe(market);
    const intent = market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    const dispute = market.standIn.books.dispute(intent.id);
    await reaches(market, id, 'cancelled');
    expect(await balance(accounts.disputeHeld(dispute.id))).toBe(PRICE);
    market.standIn.books.closeDispute(dispute.id, 'won');
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect([...market.standIn.books.refunds.values()]).toMatchObject([{ amount: 100 }]);
    await expectBooksAgree();
  });

  it('before the instance is there, and lost, refunds nothing: the bank has done so', async () => {
    market = await openStripeMarket({ stripe: { capture: 'at_once' } });
    const { id, session } = await rentByStripe(market);
    const intent = market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    const dispute = market.standIn.books.dispute(intent.id);
    await reaches(market, id, 'cancelled');
    market.standIn.books.closeDispute(dispute.id, 'lost');
    await contractBecomes(market, id, ({ payment }) => payment.status === 'disputed');
    await pass(market.coordinator, 3_700_000);
    await market.coordinator.clock.advance(5_000);
    expect(market.standIn.books.refunds.size).toBe(0);
    expect(await balance(accounts.disputeWithdrawn(dispute.id))).toBe(0n);
    expect(await balance(accounts.refundDue(id))).toBe(0n);
    const waiting = await market.coordinator.context.db.read
      .selectFrom('refunds')
      .select('key')
      .where('confirmed_at', 'is', null)
      .execute();
    expect(waiting).toEqual([]);
    await expectBooksAgree();
  });

  it('that only asks (a warning) pauses the rental, and resumes it when it is closed', async () => {
    const { id, intentId } = await rentCaptured(market);
    const dispute = market.standIn.books.dispute(intentId, 'warning_needs_response');
    expect((await reaches(market, id, 'paused')).payment.status).toBe('succeeded');
    market.standIn.books.closeDispute(dispute.id, 'warning_closed');
    await reaches(market, id, 'active');
    await expectBooksAgree();
  });

  it('that is announced early pauses the rental until the warning is not to be acted on any more', async () => {
    const { id, intentId } = await rentCaptured(market);
    const warning = market.standIn.books.warn(intentId);
    await reaches(market, id, 'paused');
    expect(await disputesSeen()).toMatchObject([{ id: warning, status: 'warning', contract_id: id }]);
    market.standIn.books.warn(intentId, false, warning);
    await reaches(market, id, 'active');
    await expectBooksAgree();
  });

  it('about a payment that nobody knows is kept and shown, and linked when the payment turns up', async () => {
    market.standIn.deliverTo(null);
    market = { ...market };
    const { id, session } = await rentByStripe(market);
    const intent = market.standIn.books.pay(session.id);
    const paid = [...market.standIn.events];
    market.standIn.books.capture(intent.id);
    const from = market.standIn.events.length;
    const dispute = market.standIn.books.dispute(intent.id);
    for (const event of market.standIn.events.slice(from))
      expect(await market.standIn.send(event, market.deliver)).toBe(200);
    expect(await disputesSeen()).toMatchObject([{ id: dispute.id, contract_id: null, payment: null }]);
    for (const event of paid) expect(await market.standIn.send(event, market.deliver)).toBe(200);
    await reaches(market, id, 'cancelled');
    expect(await disputesSeen()).toMatchObject([{ id: dispute.id, contract_id: id, funds: 'withdrawn' }]);
    expect(await balance(accounts.disputeHeld(dispute.id))).toBe(PRICE);
    await expectBooksAgree();
  });
});
