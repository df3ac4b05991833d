/**
 * PURE: the public price APIs of exchanges, as data: where each is asked for a pair, and how its answer is read. None
 * needs a key. An answer that does not look as it should is refused whole: half a price is none.
 */
import type { Pair, Quote } from './rate-source.ts';

/** How one exchange is asked. */
export interface ExchangeFormat {
  apiBase: string;
  /** The path and query for a pair; null where it does not have it. */
  pathOf(pair: Pair): string | null;
  /** Reads its answer; null for what it does not say in the shape that it should. */
  read(answer: unknown, pair: Pair): Quote | null;
}

const COINGECKO_IDS: Readonly<Record<string, string>> = {
  BTC: 'bitcoin',
  ETH: 'ethereum',
  ICP: 'internet-computer',
  USDC: 'usd-coin',
  USDT: 'tether',
};

/** The exchanges that are known. */
export const EXCHANGE_NAMES = ['coinbase', 'kraken', 'binance', 'coingecko'] as const;
export type ExchangeName = (typeof EXCHANGE_NAMES)[number];

export const EXCHANGES: Readonly<Record<ExchangeName, ExchangeFormat>> = {
  coinbase: {
    apiBase: 'https://api.exchange.coinbase.com',
    pathOf: ({ token, currency }) => `/products/${token}-${currency}/ticker`,
    read: (answer) => quoteOf(memberOf(answer, 'price'), timeOf(memberOf(answer, 'time'))),
  },
  kraken: {
    apiBase: 'https://api.kraken.com',
    pathOf: ({ token, currency }) => `/0/public/Ticker?pair=${token}${currency}`,
    read(answer) {
      const errors = memberOf(answer, 'error');
      const result = memberOf(answer, 'result');
      if (!Array.isArray(errors) || errors.length > 0 || typeof result !== 'object' || result === null)
        return null;
      // It names pairs in its own way (XXBTZUSD): there is one.
      const [ticker, ...others] = Object.values(result) as unknown[];
      const last = memberOf(ticker, 'c');
      return others.length > 0 || !Array.isArray(last) ? null : quoteOf(last[0], null);
    },
  },
  binance: {
    apiBase: 'https://api.binance.com',
    // It has no US dollars: their stablecoin is near enough to be one voice among several.
    pathOf: ({ token, currency }) =>
      `/api/v3/ticker/24hr?symbol=${token}${currency === 'USD' ? 'USDT' : currency}`,
    read: (answer) =>
      quoteOf(memberOf(answer, 'lastPrice'), integerOf(memberOf(answer, 'closeTime')) ?? undefined),
  },
  coingecko: {
    apiBase: 'https://api.coingecko.com',
    pathOf({ token, currency }) {
      const id = COINGECKO_IDS[token];
      const quote = currency.toLowerCase();
      return id === undefined
        ? null
        : `/api/v3/simple/price?ids=${id}&vs_currencies=${quote}&include_last_updated_at=true&precision=full`;
    },
    read(answer, { token, currency }) {
      const coin = memberOf(answer, COINGECKO_IDS[token] ?? '');
      const seconds = integerOf(memberOf(coin, 'last_updated_at'));
      if (seconds === null) return null;
      return quoteOf(memberOf(coin, currency.toLowerCase()), seconds * 1000);
    },
  },
};

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function quoteOf(price: unknown, at: number | null | undefined): Quote | null {
  const rateE9s = readPrice(price);
  return rateE9s === null || at === undefined ? null : { rateE9s, at };
}

/** A time that must be there: undefined where it is not. */
function timeOf(text: unknown): number | undefined {
  const ms = typeof text === 'string' ? Date.parse(text) : NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

function integerOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : null;
}

/** More than any token was ever worth, in any currency. */
const RATE_E9S_MAX = 10n ** 18n;

/**
 * A price as text or as a JSON number, in nano-units, digits beyond them cut off. Null for what is no positive amount
 * of at most a thousand million. Exact: what a number prints as is what was sent, to seventeen digits.
 */
export function readPrice(price: unknown): bigint | null {
  if (typeof price !== 'string' && typeof price !== 'number') return null;
  const match = /^([0-9]{1,30})(?:\.([0-9]{1,40}))?(?:e([+-][0-9]{1,2}))?$/i.exec(String(price));
  if (match === null) return null;
  const [, whole = '', decimals = '', exponent = '0'] = match;
  const shift = 9 - decimals.length + Number(exponent);
  const digits = BigInt(whole + decimals);
  const rateE9s = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
  return rateE9s > 0n && rateE9s <= RATE_E9S_MAX ? rateE9s : null;
}
