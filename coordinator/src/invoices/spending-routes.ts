/** A renter's spending of the month, and the limits that they set themselves. */
import { AppError } from '@dc/shared/errors';
import { fromWire } from '@dc/shared/money/money';
import { SetSpendingLimits, Spending } from '@dc/shared/wire/invoices';
import type { Context } from '../context.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { monthOf, noteAlerts, spentIn, viewSpending } from './spending.ts';

export function spendingRoutes({ db }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/spending',
      permission: 'account',
      summary: 'What the caller has spent this month, their limits, and which shares of them are reached.',
      schema: { response: Spending },
      errors: [],
      handle: async ({ principal, now }) => ({
        status: 200,
        body: await viewSpending(db.read, accountOf(principal).account, now),
      }),
    }),
    writeRoute({
      method: 'PUT',
      url: '/api/v1/spending/limits',
      permission: 'account',
      summary: 'Sets the most that the caller wants to spend in a calendar month; none means no limit.',
      schema: { body: SetSpendingLimits, response: Spending },
      errors: ['REQUEST_INVALID', 'MONEY_RANGE'],
      idempotency: 'none', // The same again changes nothing.
      async handle({ body, principal, now }, trx) {
        const { account } = accountOf(principal);
        const limits = body.limits.map(fromWire);
        const isTwice = new Set(limits.map(({ currency }) => currency)).size < limits.length;
        if (isTwice || limits.some(({ amountE9s }) => amountE9s < 0n))
          throw new AppError('REQUEST_INVALID', 'There is one limit a currency, and it is not negative.', {
            fields: [{ pointer: '/limits', detail: 'must have each currency once, and no negative amount' }],
          });
        await trx.deleteFrom('spending_limits').where('account_pubkey', '=', account).execute();
        // Alerts about a limit that is gone tell nothing; those that still hold come again at once.
        await trx
          .deleteFrom('spending_alerts')
          .where('account_pubkey', '=', account)
          .where('month', '=', monthOf(now))
          .execute();
        const spent = await spentIn(trx, account, monthOf(now));
        for (const { currency, amountE9s: limitE9s } of limits) {
          const row = { account_pubkey: account, currency, amount_e9s: limitE9s, updated_at: now };
          await trx.insertInto('spending_limits').values(row).execute();
          await noteAlerts(trx, { account, currency, limitE9s, spentE9s: spent.get(currency) ?? 0n, now });
        }
        return { status: 200, body: await viewSpending(trx, account, now) };
      },
    }),
  ];
}
