import { describe, expect, it } from 'vitest';
import { cancel, contractBecomes, look, moneyOf, reaches, settledMoney } from '../../testing/rental.ts';
import { until } from '../../testing/test-coordinator.ts';
import { balanceOf } from '../ledger-store.ts';
import { accounts } from '../ledger.ts';
import { verifyLedger } from '../ledger-verify.ts';
import { openStripeMarket, paymentOf, PRICE, rentActive, rentByStripe } from './testing/stripe-market.ts';

const TAX = PRICE / 5n;

describe('automatic tax', () => {
  it('comes on top of the price, is kept apart, and goes back with a refund', async () => {
    const market = await openStripeMarket({ stripe: { automaticTax: true } });
    const balance = async (account: string): Promise<bigint> =>
      (await balanceOf(market.coordinator.context.db.read, account, 'USD')).amountE9s;
    const { id, session } = await rentByStripe(market);
    expect(session).toMatchObject({ amount_total: 120, amount_subtotal: 100 });
    market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    expect(await moneyOf(market, id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    expect(await balance(accounts.taxes)).toBe(TAX);
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(await settledMoney(market, id)).toMatchObject({ refunded: PRICE });
    expect(await balance(accounts.taxes)).toBe(0n);
    expect(await balance(accounts.processor('stripe'))).toBe(0n);
    expect(market.standIn.findings).toEqual([]);
  });

  it('is captured with the price, and refunded in part with a part of it', async () => {
    const market = await openStripeMarket({ stripe: { automaticTax: true } });
    const { id } = await rentActive(market);
    await until(async () => (await paymentOf(market, id))?.state === 'paid', 'the capture');
    market.coordinator.clock.jump(5 * 3_600_000);
    expect((await cancel(market, id)).status).toBe(200);
    await contractBecomes(market, id, ({ payment }) => payment.status === 'partially_refunded');
    const back = [...market.standIn.books.refunds.values()].reduce((sum, { amount }) => sum + amount, 0);
    const { refunded } = await look(market, id);
    const net = BigInt(refunded?.amount_e9s ?? '0');
    // A fifth on top of what was refunded, to the cent below; what is less than a cent is in the wallet.
    expect(BigInt(back) * 10_000_000n).toBeLessThanOrEqual(net + net / 5n);
    expect(BigInt(back + 1) * 10_000_000n).toBeGreaterThan(net + net / 5n - 1n);
    expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  });
});

describe('invoices', () => {
  it('are asked for where they are wanted, in a way that Stripe’s description allows', async () => {
    const market = await openStripeMarket({ stripe: { invoices: true, capture: 'at_once' } });
    const { id, session } = await rentByStripe(market);
    const [create] = market.standIn.requests.filter(({ path }) => path === '/v1/checkout/sessions');
    expect(create?.body['invoice_creation']).toMatchObject({ enabled: 'true' });
    market.standIn.books.pay(session.id);
    await reaches(market, id, 'accepted');
    expect(market.standIn.findings).toEqual([]);
  });
});
