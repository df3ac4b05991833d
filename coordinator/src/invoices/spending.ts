/**
 * What renters allow themselves to spend in a calendar month (UTC). Checked in the transaction that buys, so that of
 * two purchases at once only what fits is made. A limit never stops what runs: use beyond the rent is only told of.
 */
import { sql } from 'kysely';
import { AppError, isAppError } from '@dc/shared/errors';
import { formatMoney, toWire } from '@dc/shared/money/money';
import type { WireSpending } from '@dc/shared/wire/invoices';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';

/** Shares of a limit that renters are told of, in percent. */
const ALERT_PERCENTS = [50, 80, 100] as const;

/** `2026-11`. */
export const monthOf = (at: number): string => new Date(at).toISOString().slice(0, 7);
const startOf = (month: string): number => Date.parse(`${month}-01T00:00:00.000Z`);

interface Amount {
  currency: string;
  sum_e9s: bigint;
}

/**
 * What the account has spent in the month, by currency: contracts and more time that were ordered in it and are paid or
 * can still be paid, and use; less what goes back of them and of earlier ones. Never below zero.
 */
export async function spentIn(reader: Reader, account: string, month: string): Promise<Map<string, bigint>> {
  const since = startOf(month);
  // A contract's total grows with paid extensions; those count by the month in which they were ordered.
  const contracts = await sql<Amount>`
    select c.currency, sum(c.total_e9s - coalesce((
      select sum(e.price_e9s) from extensions e where e.contract_id = c.id and e.state = 'paid'), 0)) as sum_e9s
    from contracts c where c.renter_pubkey = ${account} and c.created_at >= ${since}
      and c.payment_state <> 'failed' and not (c.payment_state = 'pending' and c.ended_at is not null)
    group by c.currency`.execute(reader);
  const extensions = await sql<Amount>`
    select c.currency, sum(e.price_e9s) as sum_e9s
    from extensions e join contracts c on c.id = e.contract_id
    where c.renter_pubkey = ${account} and e.created_at >= ${since}
      and (e.state = 'paid' or (e.state = 'pending' and c.ended_at is null))
    group by c.currency`.execute(reader);
  const usage = await sql<Amount>`
    select currency, sum(amount_e9s) as sum_e9s from usage_charges
    where renter_pubkey = ${account} and created_at >= ${since} group by currency`.execute(reader);
  // What was paid twice or too late was not counted above, and is not taken off.
  const refunds = await sql<Amount>`
    select r.currency, -sum(r.amount_e9s) as sum_e9s
    from refunds r join contracts c on c.id = r.contract_id
    where c.renter_pubkey = ${account} and r.created_at >= ${since} and r.key not like 'refund:%:payment:%'
    group by r.currency`.execute(reader);
  const spent = new Map<string, bigint>();
  for (const { rows } of [contracts, extensions, usage, refunds])
    for (const { currency, sum_e9s: sum } of rows) spent.set(currency, (spent.get(currency) ?? 0n) + sum);
  for (const [currency, sum] of spent) if (sum < 0n) spent.set(currency, 0n);
  return spent;
}

/** After the renter owes more without having ordered it: tells which shares of their limit are reached. */
export async function noteSpending(
  context: Pick<Context, 'clock'>,
  trx: Transaction,
  of: { account: string; currency: string },
): Promise<void> {
  try {
    await assertWithinLimit(context, trx, of);
  } catch (error) {
    // It is owed all the same: the limit is about what is ordered.
    if (!isAppError(error, 'SPENDING_LIMIT')) throw error;
  }
}

/** After something was ordered, in its transaction: throws SPENDING_LIMIT where that is more than the renter allows. */
export async function assertWithinLimit(
  { clock }: Pick<Context, 'clock'>,
  trx: Transaction,
  { account, currency }: { account: string; currency: string },
): Promise<void> {
  const now = clock.now();
  const row = await trx
    .selectFrom('spending_limits')
    .select('amount_e9s')
    .where('account_pubkey', '=', account)
    .where('currency', '=', currency)
    .executeTakeFirst();
  if (row === undefined) return;
  const spentE9s = (await spentIn(trx, account, monthOf(now))).get(currency) ?? 0n;
  await noteAlerts(trx, { account, currency, limitE9s: row.amount_e9s, spentE9s, now });
  const money = (amountE9s: bigint) => formatMoney({ amountE9s, currency });
  if (spentE9s > row.amount_e9s)
    throw new AppError(
      'SPENDING_LIMIT',
      `With this you would have spent ${money(spentE9s)} this month; your limit is ${money(row.amount_e9s)}.`,
    );
}

/** Writes down which shares of the limit are reached, each once a month. */
export async function noteAlerts(
  trx: Transaction,
  reached: { account: string; currency: string; limitE9s: bigint; spentE9s: bigint; now: number },
): Promise<void> {
  const { account, currency, limitE9s, spentE9s, now } = reached;
  for (const percent of ALERT_PERCENTS)
    if (spentE9s > 0n && spentE9s * 100n >= limitE9s * BigInt(percent))
      await trx
        .insertInto('spending_alerts')
        .values({ account_pubkey: account, currency, month: monthOf(now), percent, at: now })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
}

/** The account's spending of this month, with its limits and what was told of them. */
export async function viewSpending(reader: Reader, account: string, now: number): Promise<WireSpending> {
  const month = monthOf(now);
  const spent = await spentIn(reader, account, month);
  const limits = await reader
    .selectFrom('spending_limits')
    .selectAll()
    .where('account_pubkey', '=', account)
    .orderBy('currency')
    .execute();
  const alerts = await reader
    .selectFrom('spending_alerts')
    .selectAll()
    .where('account_pubkey', '=', account)
    .where('month', '=', month)
    .orderBy('percent')
    .execute();
  const money = (currency: string) => toWire({ amountE9s: spent.get(currency) ?? 0n, currency });
  return {
    month,
    spent: [...spent.keys()].toSorted().map(money),
    limits: limits.map(({ currency, amount_e9s: amountE9s }) => ({
      limit: toWire({ amountE9s, currency }),
      spent: money(currency),
      alerts: alerts
        .filter((alert) => alert.currency === currency)
        .map(({ percent, at }) => ({ percent: percent as 50 | 80 | 100, at: toTimestamp(at) })),
    })),
  };
}
