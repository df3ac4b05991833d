/**
 * Stripe's amounts: whole minor units of the currency, which are hundredths for most, whole units for some and
 * thousandths for others. Pure. Nothing is rounded: what is no whole number of them is refused.
 * https://docs.stripe.com/currencies#minor-units
 */
import { AppError } from '@dc/shared/errors';
import { formatMoney, makeMoney, type Money } from '@dc/shared/money/money';

const ZERO_DECIMALS = 'BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF';
const THREE_DECIMALS = 'BHD JOD KWD OMR TND';
/** Two decimals on the wire, of which the last two are always 00. */
const WHOLE_ONLY = 'ISK UGX';
const TWO_DECIMALS =
  'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC ' +
  'CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD ' +
  'KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP ' +
  'PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS ' +
  'WST XCD YER ZAR ZMW';

interface CurrencyUnits {
  /** Nano-units in one of Stripe's minor units. */
  minorE9s: bigint;
  /** Amounts are multiples of this many nano-units. */
  stepE9s: bigint;
}

const unitsOf = (minorE9s: bigint, stepE9s = minorE9s): CurrencyUnits => ({ minorE9s, stepE9s });
const CURRENCIES = new Map<string, CurrencyUnits>([
  ...list(ZERO_DECIMALS, unitsOf(1_000_000_000n)),
  // The last of the three decimals is 0.
  ...list(THREE_DECIMALS, unitsOf(1_000_000n, 10_000_000n)),
  ...list(WHOLE_ONLY, unitsOf(10_000_000n, 1_000_000_000n)),
  ...list(TWO_DECIMALS, unitsOf(10_000_000n)),
]);

function list(codes: string, units: CurrencyUnits): [string, CurrencyUnits][] {
  return codes.split(' ').map((code) => [code, units]);
}

/** The least step of an amount, in nano-units; null where Stripe does not know the currency. */
export function stepE9s(currency: string): bigint | null {
  return CURRENCIES.get(currency)?.stepE9s ?? null;
}

/** To Stripe. Throws PAYMENT_AMOUNT_UNSUPPORTED for what it cannot say. */
export function toMinorUnits(money: Money): number {
  const units = CURRENCIES.get(money.currency);
  if (units === undefined || money.amountE9s % units.stepE9s !== 0n)
    throw new AppError('PAYMENT_AMOUNT_UNSUPPORTED', `Stripe cannot say ${formatMoney(money)}.`);
  const minor = money.amountE9s / units.minorE9s;
  if (minor > BigInt(Number.MAX_SAFE_INTEGER)) throw new AppError('MONEY_RANGE');
  return Number(minor);
}

/** From Stripe. Throws REQUEST_INVALID for what is no amount, or a currency that we do not know. */
export function fromMinorUnits(amount: number, currency: string): Money {
  const code = currency.toUpperCase();
  const units = CURRENCIES.get(code);
  if (units === undefined || !Number.isSafeInteger(amount))
    throw new AppError('REQUEST_INVALID', `${String(amount)} ${code} is no amount that we know.`);
  return makeMoney(BigInt(amount) * units.minorE9s, code);
}
