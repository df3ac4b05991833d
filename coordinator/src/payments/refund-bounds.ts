/** Up to where refunds leave without a person: pure. */
import type { Money } from '@dc/shared/money/money';

/** In whole units of each currency; `units` says how many of a currency count as one, where it is not one. */
export interface RefundBounds {
  perRefund: number;
  perRenterADay: number;
  perDay: number;
  units: Readonly<Record<string, number>>;
}

export type RefundBound = 'per_refund' | 'per_renter_a_day' | 'per_day';

/** What was refunded today without a person, before this one. */
export interface RefundedToday {
  renterE9s: bigint;
  everyoneE9s: bigint;
}

/** A bound in nano-units of `currency`. */
function boundE9s({ units }: RefundBounds, wholeUnits: number, currency: string): bigint {
  return BigInt(wholeUnits) * BigInt(units[currency] ?? 1) * 1_000_000_000n;
}

/** The first bound that a refund of `amount` would exceed; null where it may leave. What is exactly at a bound may. */
export function exceededBound(
  bounds: RefundBounds,
  { amountE9s, currency }: Money,
  today: RefundedToday,
): RefundBound | null {
  const isAbove = (sumE9s: bigint, wholeUnits: number): boolean =>
    sumE9s > boundE9s(bounds, wholeUnits, currency);
  if (isAbove(amountE9s, bounds.perRefund)) return 'per_refund';
  if (isAbove(today.renterE9s + amountE9s, bounds.perRenterADay)) return 'per_renter_a_day';
  return isAbove(today.everyoneE9s + amountE9s, bounds.perDay) ? 'per_day' : null;
}
