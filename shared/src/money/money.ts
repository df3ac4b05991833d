/**
 * Money: integer nano-units (1e-9 of the currency's unit) as bigint, and the one codec to and from the wire.
 * No amount ever becomes a `number`. Every result fits a signed 64-bit integer, as the database's columns do;
 * what does not fit is `MONEY_RANGE`, never a wrapped or rounded value.
 */
import { AppError } from '../errors.ts';

/** An amount in one currency. Immutable; may be negative in a ledger posting, hardly ever elsewhere. */
export interface Money {
  readonly amountE9s: bigint;
  readonly currency: string;
}

/** Money as it travels: `{"amount_e9s": "12500000000", "currency": "USD"}` is 12.50 USD. */
export interface WireMoney {
  amount_e9s: string;
  currency: string;
}

/** How `multiplyRatio` treats what does not divide: towards minus or plus infinity. */
export type Rounding = 'floor' | 'ceil';

/** One text for each amount: no sign on zero, no leading zeros, no more digits than 64 bits can have. */
const AMOUNT = /^(0|-?[1-9][0-9]{0,18})$/;
/** An ISO 4217 code or a token symbol. */
const CURRENCY = /^[A-Z][A-Z0-9]{2,9}$/;
const MAX_E9S = 2n ** 63n - 1n;
const MIN_E9S = -(2n ** 63n);
const UNIT_E9S = 1_000_000_000n;

/** Makes money. Throws MONEY_RANGE outside 64 bits and REQUEST_INVALID for what is not a currency. */
export function makeMoney(amountE9s: bigint, currency: string): Money {
  if (!CURRENCY.test(currency)) throw new AppError('REQUEST_INVALID', 'The currency is not a currency code.');
  if (amountE9s > MAX_E9S || amountE9s < MIN_E9S) throw new AppError('MONEY_RANGE');
  return { amountE9s, currency };
}

/** `a + b`. Throws on two currencies (a bug) and MONEY_RANGE on overflow. */
export function add(a: Money, b: Money): Money {
  assertSameCurrency(a, b);
  return makeMoney(a.amountE9s + b.amountE9s, a.currency);
}

/** `a - b`. Throws on two currencies (a bug) and MONEY_RANGE on overflow. */
export function subtract(a: Money, b: Money): Money {
  assertSameCurrency(a, b);
  return makeMoney(a.amountE9s - b.amountE9s, a.currency);
}

/** -1, 0 or 1, as `Array.sort` wants it. Throws on two currencies. */
export function compare(a: Money, b: Money): -1 | 0 | 1 {
  assertSameCurrency(a, b);
  if (a.amountE9s === b.amountE9s) return 0;
  return a.amountE9s < b.amountE9s ? -1 : 1;
}

/**
 * `amount × numerator / denominator`, multiplied before it is divided, so that nothing is lost on the way.
 * Throws a RangeError unless the denominator is positive.
 */
export function multiplyRatio(
  amount: Money,
  numerator: bigint,
  denominator: bigint,
  rounding: Rounding,
): Money {
  if (denominator <= 0n) throw new RangeError('the denominator of a ratio of money is positive');
  const product = amount.amountE9s * numerator;
  const truncated = product / denominator;
  const isExact = truncated * denominator === product;
  // BigInt division rounds towards zero: only one side of zero needs a step.
  if (isExact) return makeMoney(truncated, amount.currency);
  if (rounding === 'ceil') return makeMoney(product > 0n ? truncated + 1n : truncated, amount.currency);
  return makeMoney(product < 0n ? truncated - 1n : truncated, amount.currency);
}

/**
 * Splits `total` by integer weights. The parts sum to `total` exactly; each is within one nano-unit of its share,
 * and what is left over goes to the largest remainders, the earlier part first. Weights are not negative and not
 * all zero (RangeError).
 */
export function allocate(total: Money, weights: readonly bigint[]): Money[] {
  const weightSum = weights.reduce((sum, weight) => sum + weight, 0n);
  if (weightSum <= 0n || weights.some((weight) => weight < 0n)) {
    throw new RangeError('weights are not negative and not all zero');
  }
  const sign = total.amountE9s < 0n ? -1n : 1n;
  const magnitude = total.amountE9s * sign;
  const shares = weights.map((weight, index) => ({
    index,
    amountE9s: (magnitude * weight) / weightSum,
    remainder: (magnitude * weight) % weightSum,
  }));
  const left = magnitude - shares.reduce((sum, share) => sum + share.amountE9s, 0n);
  const byRemainder = shares.toSorted((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const share of byRemainder.slice(0, Number(left))) share.amountE9s += 1n;
  return shares.map((share) => makeMoney(share.amountE9s * sign, total.currency));
}

/** To the wire. */
export function toWire(money: Money): WireMoney {
  return { amount_e9s: money.amountE9s.toString(), currency: money.currency };
}

/** From the wire. Throws REQUEST_INVALID for another spelling of an amount, MONEY_RANGE outside 64 bits. */
export function fromWire(wire: WireMoney): Money {
  if (!AMOUNT.test(wire.amount_e9s)) {
    throw new AppError(
      'REQUEST_INVALID',
      'amount_e9s is a string of integer nano-units, such as "12500000000".',
    );
  }
  return makeMoney(BigInt(wire.amount_e9s), wire.currency);
}

/** For people: `12.50 USD`, exact, with at least two decimals and no more than it needs. */
export function formatMoney(money: Money): string {
  const sign = money.amountE9s < 0n ? '-' : '';
  const magnitude = money.amountE9s < 0n ? -money.amountE9s : money.amountE9s;
  const decimals = (magnitude % UNIT_E9S)
    .toString()
    .padStart(9, '0')
    .replace(/0{1,7}$/, '');
  return `${sign}${magnitude / UNIT_E9S}.${decimals} ${money.currency}`;
}

/** What a person types: `12.50 USD`. Exact; throws REQUEST_INVALID for anything else, and for more than 9 decimals. */
export function parseMoney(text: string): Money {
  const match = /^(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,9}))? ([A-Z][A-Z0-9]{2,9})$/.exec(text.trim());
  if (match === null) {
    throw new AppError('REQUEST_INVALID', `"${text}" is not an amount.`, {
      remedy: 'Write it like "0.008 USD": at most 9 decimals, then the currency.',
    });
  }
  const [, whole = '', decimals = '', currency = ''] = match;
  return makeMoney(BigInt(whole) * UNIT_E9S + BigInt(decimals.padEnd(9, '0')), currency);
}

function assertSameCurrency(a: Money, b: Money): void {
  if (a.currency !== b.currency) throw new TypeError(`${a.currency} and ${b.currency} cannot be mixed`);
}
