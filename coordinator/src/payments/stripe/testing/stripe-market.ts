/** A market whose renters pay with Stripe: a whole coordinator, the stand-in, and what passes between them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireCreateContract } from '@dc/shared/wire/contract';
import type { CoordinatorConfig, StripeConfig } from '../../../config/config.ts';
import { openMarket, rent, type Market, type MarketOptions } from '../../../testing/rental.ts';
import { atPrivateAddress, reaches } from '../../../testing/rental.ts';
import { startTestCoordinator, until, type TestCoordinator } from '../../../testing/test-coordinator.ts';
import { keyOfContract } from '../../payment-asks.ts';
import { findPayment, type PaymentRow } from '../../payment-store.ts';
import type { Session } from './stripe-books.ts';
import { STAND_IN_KEY, STAND_IN_WEBHOOK_SECRET, StripeStandIn, type Deliver } from './stripe-stand-in.ts';

/** Ten hours at 10 cents: 1.00 USD. */
export const PRICE_PER_HOUR = { amount_e9s: '100000000', currency: 'USD' };
export const PRICE = 1_000_000_000n;

export interface StripeMarket extends Market {
  standIn: StripeStandIn;
  /** Brings a delivery to the coordinator's webhook, and resolves with the status. */
  deliver: Deliver;
}

/** How the market is unless a test says otherwise: money is taken at delivery, and events arrive as they happen. */
export interface StripeMarketOptions {
  stripe?: Partial<StripeConfig>;
  offering?: MarketOptions['offering'];
  payouts?: CoordinatorConfig['payouts'];
  /** False holds all events back. */
  delivers?: boolean;
}

export async function openStripeMarket(options: StripeMarketOptions = {}): Promise<StripeMarket> {
  const clock = new ManualClock();
  const standIn = new StripeStandIn(clock);
  await standIn.listen();
  onTestFinished(() => standIn.close());
  const stripe = { ...stripeConfig(standIn), ...options.stripe };
  const payouts = options.payouts === undefined ? {} : { payouts: options.payouts };
  const config = { payments: { test: false, stripe }, ...payouts };
  const coordinator = await startTestCoordinator({ clock, config });
  const deliver = deliverTo(coordinator);
  if (options.delivers !== false) standIn.deliverTo(deliver);
  const offering = { price_per_hour: PRICE_PER_HOUR, ...options.offering };
  const market = await openMarket({ coordinator, offering });
  return { ...market, standIn, deliver };
}

/** The settings of a coordinator that takes the stand-in for Stripe, with their secret files. */
export function stripeConfig(standIn: StripeStandIn): StripeConfig {
  const folder = mkdtempSync(join(tmpdir(), 'dc-stripe-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const secretKeyFile = join(folder, 'stripe.key');
  const webhookSecretFile = join(folder, 'webhook.secret');
  writeFileSync(secretKeyFile, `${STAND_IN_KEY}\n`, { mode: 0o600 });
  writeFileSync(webhookSecretFile, `${STAND_IN_WEBHOOK_SECRET}\n`, { mode: 0o600 });
  const { url: apiBase } = standIn;
  return {
    ...{ secretKeyFile, webhookSecretFile, apiBase },
    ...{ capture: 'at_delivery', automaticTax: false, invoices: false },
  };
}

export function deliverTo({ app }: TestCoordinator, method = 'stripe'): Deliver {
  return async (payload, signature) => {
    const headers = {
      host: '127.0.0.1:8787',
      'content-type': 'application/json; charset=utf-8',
      'stripe-signature': signature,
    };
    const answer = await app.inject({ method: 'POST', url: `/api/v1/webhooks/${method}`, headers, payload });
    return answer.statusCode;
  };
}

/** A contract that waits for its payment, and its checkout. */
export async function rentByStripe(
  market: StripeMarket,
  change: Partial<WireCreateContract> = {},
): Promise<{ id: string; session: Session }> {
  const contract = await rent(market, { payment_method: 'stripe', ...change });
  return { id: contract.id, session: sessionOf(market, contract) };
}

/** The checkout of a contract. */
export function sessionOf({ standIn }: StripeMarket, { payment }: Pick<WireContract, 'payment'>): Session {
  const id = payment.checkout_url?.split('/').at(-1) ?? '';
  expect(payment.checkout_url).toBe(`${standIn.url}/checkout/${id}`);
  return standIn.books.session(id);
}

/** A contract that is paid with a card and active. */
export async function rentActive(
  market: StripeMarket,
  change: Partial<WireCreateContract> = {},
): Promise<{ id: string; session: Session; intentId: string }> {
  const { id, session } = await rentByStripe(market, change);
  const intent = market.standIn.books.pay(session.id);
  await reaches(market, id, 'accepted');
  const lease = await market.agent.leaseOne();
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  await reaches(market, id, 'active');
  return { id, session, intentId: intent.id };
}

/** The same, with its money taken. */
export async function rentCaptured(
  market: StripeMarket,
  change: Partial<WireCreateContract> = {},
): Promise<{ id: string; session: Session; intentId: string }> {
  const rented = await rentActive(market, change);
  await until(async () => (await paymentOf(market, rented.id))?.state === 'paid', 'the capture');
  return rented;
}

/** The payment of a contract. */
export function paymentOf({ coordinator }: Market, id: string): Promise<PaymentRow | null> {
  return findPayment(coordinator.context.db.read, keyOfContract(id));
}
