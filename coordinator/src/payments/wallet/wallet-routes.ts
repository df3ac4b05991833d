/** The renter's wallet: what it holds, what it was topped up with, and topping it up. */
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { fromWire } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { AskTopUp, TopUp, Wallet } from '@dc/shared/wire/wallet';
import type { Context } from '../../context.ts';
import { accountOf } from '../../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../../http/route.ts';
import { documentTopUp } from '../../invoices/payment-documents.ts';
import { openPaymentNow, type Payments } from '../checkouts.ts';
import { walletToppedUp } from '../ledger-wallet.ts';
import { askForPayment, keyOfTopUp } from '../payment-asks.ts';
import { findPayment, type PaymentRow } from '../payment-store.ts';
import { topUpMethods, viewTopUp, viewWallet } from './wallet-view.ts';

/** A million of any currency: more is a slip. */
const TOP_UP_E9S_MAX = 1_000_000n * 1_000_000_000n;

/** The routes. None where there is no wallet. */
export function walletRoutes(context: Context, payments: Payments): Route[] {
  const { db } = context;
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/wallet',
      permission: 'account',
      summary: 'The caller’s wallet: what it holds, and its top-ups.',
      schema: { response: Wallet },
      errors: [],
      handle: async ({ principal }) => ({
        status: 200,
        body: await viewWallet(db.read, accountOf(principal).account),
      }),
    }),
    writeRoute({
      method: 'POST',
      url: '/api/v1/wallet/top-ups',
      permission: 'account',
      summary: 'Puts money into the wallet: opens a payment.',
      schema: { body: AskTopUp, response: TopUp },
      errors: ['PAYMENT_METHOD_UNKNOWN', 'PAYMENT_AMOUNT_UNSUPPORTED', 'TOKEN_RATE_STALE', 'MONEY_RANGE'],
      successStatus: 201,
      idempotency: 'required', // Twice is twice the money.
      async handle({ body, principal, now }, trx) {
        const amount = fromWire(body.amount);
        if (amount.amountE9s <= 0n || amount.amountE9s > TOP_UP_E9S_MAX)
          throw new AppError(
            'PAYMENT_AMOUNT_UNSUPPORTED',
            'A top-up is more than nothing, and at most a million.',
          );
        const provider = payments.get(body.payment_method);
        if (provider === undefined || provider.source === 'wallet') throw unknownMethod(payments);
        const { account } = accountOf(principal);
        const id = newUuid(context.clock, context.random);
        const key = keyOfTopUp(id);
        if (provider.online?.capabilities.topsUp === true) {
          await askForPayment(context, trx, provider, {
            ...{ key, account, contractId: null, extensionId: null, amount },
            ...{ description: 'Wallet top-up', isForDelivery: false, refundTo: 'source' },
          });
          return { status: 201, body: viewTopUp((await findPayment(trx, key)) as PaymentRow) };
        }
        if (provider.method !== 'test') throw unknownMethod(payments);
        const cause = `payment:test:${key}`;
        await context.ledger.append(
          trx,
          walletToppedUp({ cause, method: 'test', renterPubkey: account, amount }),
        );
        await documentTopUp(context, trx, { account, method: 'test', cause, ...amount, taxE9s: 0n });
        const payment = { method: 'test', status: 'succeeded' as const, checkout_url: null };
        return { status: 201, body: { id, amount: body.amount, payment, created_at: toTimestamp(now) } };
      },
      async complete(topUp) {
        if (payments.get(topUp.payment.method)?.online === undefined) return topUp;
        const key = keyOfTopUp(topUp.id);
        await openPaymentNow(context, payments, key);
        const payment = await findPayment(db.read, key);
        return payment === null ? topUp : viewTopUp(payment);
      },
    }),
  ];
}

function unknownMethod(payments: Payments): AppError {
  const offered = topUpMethods(payments).join(', ') || 'nothing at present';
  return new AppError('PAYMENT_METHOD_UNKNOWN', `A wallet can be topped up with: ${offered}.`);
}
