/** What something costs in a token: at the rate that the sources agree on now, kept with the payment for ever. */
import { AppError } from '@dc/shared/errors';
import { makeMoney, type Money } from '@dc/shared/money/money';
import type { WireTokenPrice, WireTokenRate } from '@dc/shared/wire/rate';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { CoordinatorConfig } from '../config/config.ts';
import { jsonFromColumn, jsonToColumn } from '../database/columns.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { chooseRate, type RateChoice } from './choose-rate.ts';
import type { Pair } from './rate-source.ts';
import { findPaymentRate, insertPaymentRate, listQuotes } from './rate-store.ts';

type RateConfig = CoordinatorConfig['prices'];
const NANO = 1_000_000_000n;

/** The rate at `now`, and why it is what it is. */
export async function findRate(
  reader: Reader,
  pair: Pair,
  { config, now }: { config: RateConfig; now: number },
): Promise<RateChoice> {
  const known = await listQuotes(reader, pair);
  const kept = config.sources.map(({ name: source }) => {
    const row = known.find((quote) => quote.source === source);
    return { source, rateE9s: row?.rate_e9s ?? null, at: row?.at ?? null, problem: row?.problem ?? null };
  });
  return chooseRate(kept, config, now);
}

/** What is paid in a token. */
export interface TokenPayment {
  paymentKey: string;
  contractId: string | null;
  amount: Money;
  token: string;
}

/** Fixes the price of a payment in tokens, rounded up. Throws TOKEN_RATE_STALE where there is no rate to go by. */
export async function fixTokenPrice(
  trx: Transaction,
  { paymentKey, contractId, amount, token }: TokenPayment,
  time: { config: RateConfig; now: number },
): Promise<void> {
  const pair = { token, currency: amount.currency };
  const { rateE9s, at, problem, quotes } = await findRate(trx, pair, time);
  if (rateE9s === null || at === null)
    throw new AppError('TOKEN_RATE_STALE', `What ${token} costs is not known well enough: ${problem ?? ''}.`);
  const tokens = (amount.amountE9s * NANO + rateE9s - 1n) / rateE9s;
  await insertPaymentRate(trx, {
    ...{ payment_key: paymentKey, contract_id: contractId, token, currency: amount.currency },
    ...{ rate_e9s: rateE9s, at, token_amount_e9s: makeMoney(tokens, token).amountE9s },
    sources: jsonToColumn(
      quotes
        .filter(({ used }) => used)
        .map((quote) => ({
          source: quote.source,
          rate_e9s: String(quote.rateE9s),
          at: toTimestamp(quote.at ?? time.now),
        })),
    ),
  });
}

/** The price of a payment in tokens as it was fixed; null where it is not paid in a token. */
export async function viewTokenPrice(reader: Reader, paymentKey: string): Promise<WireTokenPrice | null> {
  const row = await findPaymentRate(reader, paymentKey);
  if (row === null) return null;
  return {
    token: row.token,
    amount_e9s: String(row.token_amount_e9s),
    rate_e9s: String(row.rate_e9s),
    at: toTimestamp(row.at),
    sources: jsonFromColumn(row.sources) as WireTokenPrice['sources'],
  };
}

/** A rate as everybody sees it. */
export function viewRate({ token, currency }: Pair, choice: RateChoice): WireTokenRate {
  const time = (at: number | null): string | null => (at === null ? null : toTimestamp(at));
  const rate = (rateE9s: bigint | null): string | null => (rateE9s === null ? null : String(rateE9s));
  return {
    token,
    currency,
    rate_e9s: rate(choice.rateE9s),
    at: time(choice.at),
    usable: choice.rateE9s !== null,
    problem: choice.problem,
    quotes: choice.quotes.map((quote) => ({
      source: quote.source,
      rate_e9s: rate(quote.rateE9s),
      at: time(quote.at),
      used: quote.used,
      problem: quote.problem,
    })),
  };
}
