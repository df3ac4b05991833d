/**
 * What a rental costs, for the page: on the server for the first sight, in the browser while the renter chooses.
 * The coordinator computes the price that counts again when the contract is made.
 */
import { formatMoney, type Money, type WireMoney } from '@dc/shared/money/money';

/** The prices of an offering, as they travel. */
export interface OfferingPrice {
  price_per_hour: WireMoney;
  setup_fee: WireMoney;
}

/** The hours of an average month: 365.25 days of 24 hours by 12, rounded down. Said wherever it is used. */
export const MONTH_HOURS = 730;

/** `hours` (a whole number) of an offering with its setup fee, exact. */
export function rentTotal(offering: OfferingPrice, hours: number): Money {
  return {
    amountE9s:
      BigInt(offering.price_per_hour.amount_e9s) * BigInt(hours) + BigInt(offering.setup_fee.amount_e9s),
    currency: offering.price_per_hour.currency,
  };
}

/** The same without the setup fee, as text. */
export function timePriceText(offering: OfferingPrice, hours: number): string {
  const { amount_e9s, currency } = offering.price_per_hour;
  return formatMoney({ amountE9s: BigInt(amount_e9s) * BigInt(hours), currency });
}

/** Durations to choose from with one press, in hours. */
const PRESETS: readonly { hours: number; label: string }[] = [
  { hours: 1, label: '1 hour' },
  { hours: 6, label: '6 hours' },
  { hours: 24, label: '1 day' },
  { hours: 72, label: '3 days' },
  { hours: 168, label: '1 week' },
  { hours: 720, label: '30 days' },
  { hours: 8760, label: '1 year' },
];

/** The presets that the offering allows; where none fits, its shortest time. */
export function durationPresets(range: {
  min_hours: number;
  max_hours: number;
}): { hours: number; label: string }[] {
  const fitting = PRESETS.filter(({ hours }) => hours >= range.min_hours && hours <= range.max_hours);
  if (fitting.length > 0) return [...fitting];
  return [{ hours: range.min_hours, label: range.min_hours === 1 ? '1 hour' : `${range.min_hours} hours` }];
}

/** The duration that is chosen at first: a day where it can be, else the first preset. */
export function defaultHours(range: { min_hours: number; max_hours: number }): number {
  const presets = durationPresets(range);
  return (presets.find(({ hours }) => hours === 24) ?? presets[0])?.hours ?? range.min_hours;
}

/** The whole number of hours that `text` says, or null where it is none in the offering's range. */
export function parseHours(text: string, range: { min_hours: number; max_hours: number }): number | null {
  if (!/^[0-9]{1,6}$/.test(text.trim())) return null;
  const hours = Number(text);
  return hours >= range.min_hours && hours <= range.max_hours ? hours : null;
}

/** `0.05` or `0,05` in nano-units as text; null for anything else that is no amount. Exact: no float on the way. */
export function parseAmountE9s(text: string): string | null {
  const match = /^([0-9]{1,9})(?:[.,]([0-9]{1,9}))?$/.exec(text.trim());
  if (match === null) return null;
  return BigInt(`${match[1] ?? '0'}${(match[2] ?? '').padEnd(9, '0')}`).toString();
}
