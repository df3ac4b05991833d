/** The renter's wallet: what it holds, what it was topped up with, and topping it up. */
import { Type, type Static } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { fromWire, toWire } from '@dc/shared/money/money';
import { closed, MoneySchema, nullable, Timestamp, toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../../context.ts';
import type { Reader } from '../../database/database.ts';
import { accountOf } from '../../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../../http/route.ts';
import { openPaymentNow, type Payments } from '../checkouts.ts';
import { walletToppedUp } from '../ledger-wallet.ts';
import { askForPayment, keyOfTopUp } from '../payment-asks.ts';
import { findPayment, type PaymentRow } from '../payment-store.ts';
import { walletBalances } from './wallet-store.ts';

const TopUp = closed({
  id: Type.String(),
  amount: MoneySchema,
  payment: closed({
    method: Type.String(),
    status: Type.Enum(['pending', 'processing', 'succeeded', 'failed'], {
      description: '`processing`: paid in a way that takes days to arrive',
    }),
    checkout_url: nullable(Type.String()),
  }),
  created_at: Timestamp,
});
const Wallet = closed({
  balances: Type.Array(MoneySchema, { description: 'One a currency; none where nothing was ever put in' }),
  top_ups: Type.Array(TopUp, { description: 'The newest first, fifty at most' }),
});
const AskTopUp = closed({ amount: MoneySchema, payment_method: Type.String({ maxLength: 32 }) });

const TOP_UPS_SHOWN = 50;
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
      errors: ['PAYMENT_METHOD_UNKNOWN', 'PAYMENT_AMOUNT_UNSUPPORTED', 'MONEY_RANGE'],
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
  const offered = [...payments.values()]
    .filter(({ method, online }) => method === 'test' || online?.capabilities.topsUp === true)
    .map(({ method }) => method);
  return new AppError(
    'PAYMENT_METHOD_UNKNOWN',
    `A wallet can be topped up with: ${offered.join(', ') || 'nothing at present'}.`,
  );
}

async function viewWallet(reader: Reader, account: string) {
  const rows = await reader
    .selectFrom('payments')
    .selectAll()
    .where('account_pubkey', '=', account)
    .where('contract_id', 'is', null)
    .orderBy('created_at', 'desc')
    .limit(TOP_UPS_SHOWN)
    .execute();
  const balances = await walletBalances(reader, account);
  return { balances: balances.map(toWire), top_ups: (rows as PaymentRow[]).map(viewTopUp) };
}

const STATUS: Readonly<Record<PaymentRow['state'], Static<typeof TopUp>['payment']['status']>> = {
  asked: 'pending',
  open: 'pending',
  processing: 'processing',
  authorised: 'processing',
  paid: 'succeeded',
  failed: 'failed',
  closed: 'failed',
  voided: 'failed',
};

function viewTopUp(row: PaymentRow): Static<typeof TopUp> {
  const { amount_e9s: amountE9s, currency, method, state } = row;
  const isPayable = state === 'open' || state === 'asked';
  return {
    id: row.key.slice(keyOfTopUp('').length),
    amount: toWire({ amountE9s, currency }),
    payment: { method, status: STATUS[state], checkout_url: isPayable ? row.checkout_url : null },
    created_at: toTimestamp(row.created_at),
  };
}
