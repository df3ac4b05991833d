import { beforeEach, describe, expect, it } from 'vitest';
import type { WireTopUp, WireWallet } from '@dc/shared/wire/wallet';
import { cancel, contractBecomes, look, pass, rent, tryToRent } from '../../testing/rental.ts';
import { makeAccount, makeOffering } from '../../testing/people.ts';
import { until } from '../../testing/test-coordinator.ts';
import { balanceOf } from '../ledger-store.ts';
import { paidFromWallet } from '../ledger-wallet.ts';
import { accounts } from '../ledger.ts';
import { verifyLedger } from '../ledger-verify.ts';
import { openStripeMarket, PRICE, type StripeMarket } from '../stripe/testing/stripe-market.ts';

let market: StripeMarket;
beforeEach(async () => {
  market = await openStripeMarket();
});

const usd = (amount: bigint) => ({ amount_e9s: String(amount), currency: 'USD' });
const walletOf = async (): Promise<WireWallet> =>
  (await market.coordinator.client.get<WireWallet>('/wallet', { key: market.renter })).body;
const balance = async (): Promise<bigint> => BigInt((await walletOf()).balances[0]?.amount_e9s ?? '0');

let asked = 0;
function askTopUp(amount: unknown, change: Record<string, unknown> = {}) {
  const body = { amount, payment_method: 'stripe', ...change };
  const options = { key: market.renter, idempotencyKey: `top-up-${String(asked++)}` };
  return market.coordinator.client.post<WireTopUp & { code: string }>('/wallet/top-ups', body, options);
}

/** Puts money in, and waits until it is there. */
async function topUp(amount: bigint): Promise<string> {
  const before = await balance();
  const { status, body } = await askTopUp(usd(amount));
  expect(status).toBe(201);
  const session = body.payment.checkout_url?.split('/').at(-1) ?? '';
  const intent = market.standIn.books.pay(session);
  await until(async () => (await balance()) === before + amount, 'the top-up');
  return intent.id;
}

describe('a wallet', () => {
  it('is topped up by a checkout, taken at once, and each payment counts once', async () => {
    const { status, body } = await askTopUp(usd(20_000_000_000n));
    expect(status).toBe(201);
    expect(body.payment).toMatchObject({ method: 'stripe', status: 'pending' });
    expect(await balance()).toBe(0n);
    const intent = market.standIn.books.pay(body.payment.checkout_url?.split('/').at(-1) ?? '');
    expect(intent).toMatchObject({ status: 'succeeded', capture_method: 'automatic' });
    await until(async () => (await balance()) === 20_000_000_000n, 'the top-up');
    for (const event of market.standIn.events) await market.standIn.send(event, market.deliver);
    expect(await walletOf()).toMatchObject({
      balances: [usd(20_000_000_000n)],
      top_ups: [{ id: body.id, payment: { status: 'succeeded', checkout_url: null } }],
    });
  });

  it('whose top-up’s webhook is lost is filled all the same: the sweep asks', async () => {
    market.standIn.deliverTo(null);
    const { body } = await askTopUp(usd(5_000_000_000n));
    market.standIn.books.pay(body.payment.checkout_url?.split('/').at(-1) ?? '');
    await market.coordinator.clock.advance(95_000);
    await until(async () => (await balance()) === 5_000_000_000n, 'the top-up');
  });

  it('is not credited for a session that is complete and unpaid', async () => {
    const { body } = await askTopUp(usd(5_000_000_000n));
    market.standIn.books.pay(body.payment.checkout_url?.split('/').at(-1) ?? '', 'bank');
    await until(async () => (await walletOf()).top_ups[0]?.payment.status === 'processing', 'the news');
    expect(await balance()).toBe(0n);
  });

  it('pays a rental at once, gets back what is refunded, and never goes below zero', async () => {
    await topUp(PRICE);
    const { id } = await rent(market, { payment_method: 'wallet' });
    expect(await look(market, id)).toMatchObject({ state: 'accepted', payment: { status: 'succeeded' } });
    expect(await balance()).toBe(0n);
    expect(await tryToRent(market, { payment_method: 'wallet' })).toMatchObject({
      status: 409,
      body: { code: 'WALLET_TOO_LOW' },
    });
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(await balance()).toBe(PRICE);
    expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  });

  it('pays nothing in another currency than it holds', async () => {
    await topUp(5n * PRICE);
    const { coordinator, provider } = market;
    const price_per_hour = { amount_e9s: '100000000', currency: 'EUR' };
    const offering = await makeOffering(coordinator, provider, {
      price_per_hour,
      setup_fee: { amount_e9s: '0', currency: 'EUR' },
    });
    const answer = await tryToRent({ ...market, offering }, { payment_method: 'wallet' });
    expect(answer).toMatchObject({ status: 409, body: { code: 'WALLET_TOO_LOW' } });
    expect(await balance()).toBe(5n * PRICE);
  });

  it('is kept from going below zero by the database itself', async () => {
    await topUp(PRICE);
    const { id } = await rent(market, { payment_method: 'stripe' });
    const { context } = market.coordinator;
    const paid = { amountE9s: PRICE + 1n, currency: 'USD' };
    const set = paidFromWallet({
      cause: 'a bug',
      contractId: id,
      renterPubkey: market.renter.publicKey,
      paid,
    });
    await expect(context.db.write((trx) => context.ledger.append(trx, set))).rejects.toMatchObject({
      code: 'LEDGER_REFUSED',
    });
    expect(await balance()).toBe(PRICE);
  });

  it('credits nothing twice when two cancel the same rental at once', async () => {
    await topUp(PRICE);
    const { id } = await rent(market, { payment_method: 'wallet' });
    const answers = await Promise.all([cancel(market, id), cancel(market, id), cancel(market, id)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(await balance()).toBe(PRICE);
  });

  it('is charged back: what it holds is held, and the rest is a loss', async () => {
    const intentId = await topUp(2n * PRICE);
    await rent(market, { payment_method: 'wallet' });
    const dispute = market.standIn.books.dispute(intentId);
    await until(async () => (await balance()) === 0n, 'the hold');
    market.standIn.books.closeDispute(dispute.id, 'lost');
    const read = market.coordinator.context.db.read;
    await until(
      async () => (await balanceOf(read, accounts.disputeHeld(dispute.id), 'USD')).amountE9s === 0n,
      'the end of the dispute',
    );
    expect((await balanceOf(read, accounts.platformRevenue, 'USD')).amountE9s).toBe(-PRICE);
    expect(await balance()).toBe(0n);
    expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  });

  it.each([
    ['nothing', usd(0n), 400],
    ['less than nothing', usd(-1_000_000_000n), 400],
    ['a fraction of a cent', usd(1_000_000_001n), 400],
    ['an absurd amount', usd(2_000_000_000_000_000n), 400],
    ['a currency that Stripe does not know', { amount_e9s: '1000000000', currency: 'DOGE' }, 400],
    ['a number', 20, 400],
  ])('takes no top-up of %s', async (_name, amount, status) => {
    expect((await askTopUp(amount)).status).toBe(status);
    expect((await walletOf()).top_ups).toEqual([]);
  });

  it('takes no top-up from itself, or in a way that is not offered', async () => {
    for (const payment_method of ['wallet', 'test', 'cash'])
      expect(await askTopUp(usd(PRICE), { payment_method })).toMatchObject({
        status: 400,
        body: { code: 'PAYMENT_METHOD_UNKNOWN' },
      });
  });

  it('is nobody else’s business', async () => {
    await topUp(PRICE);
    const stranger = await makeAccount(market.coordinator, 'stranger');
    const answer = await market.coordinator.client.get<WireWallet>('/wallet', { key: stranger });
    expect(answer.body).toEqual({ balances: [], top_ups: [] });
    expect((await market.coordinator.client.get('/wallet')).status).toBe(401);
  });

  it('shows a top-up that Stripe does not take as not paid', async () => {
    const { body } = await askTopUp(usd(100_000_000n));
    expect(body.payment).toMatchObject({ status: 'failed', checkout_url: null });
    await pass(market.coordinator, 60_000);
    expect(await balance()).toBe(0n);
  });
});
