/**
 * Who gets what when a rental ends at a moment: pure, and used both to show the refund before cancelling and to book
 * it. Time decides in whole milliseconds, money in whole nano-units, and no unit is lost or made.
 *
 * What is split is the money paid, by the time it bought: what was released before only limits the refund and is
 * never subtracted from it, since it paid for time that is used up anyway.
 */
import { compare, multiplyRatio, subtract } from '@dc/shared/money/money';
import type { Money } from '@dc/shared/money/money';

/** What a refund depends on. All money is in one currency. */
export interface RentalTerms {
  /** Confirmed payments, for the rental and for its extensions. */
  paid: Money;
  /** The part of `paid` that is earned when the rental becomes active, whatever happens later. */
  setupFee: Money;
  /** What was released to the provider and the platform before. */
  released: Money;
  /**
   * The time that `paid` bought: the hours of the order and of extensions once they are paid. Never computed from
   * the end of the rental, which a pause or an unpaid extension moves without anybody paying for it.
   */
  rentedMs: number;
  /** When delivery was verified and the clock started; null before that. */
  activeAt: number | null;
  /** All time paused since `activeAt`, a pause that still lasts included. It is not used time. */
  pausedMs: number;
}

/** `refund` + `release` + what was released before = `paid`, exactly. */
export interface RentalSplit {
  /** Back to the renter. */
  refund: Money;
  /** To the provider, beyond what was released before. */
  release: Money;
}

/**
 * Splits what is left of a rental that ends at `nowMs`. Before it was active the renter gets everything; after that
 * the unused share of the rent, rounded up to a whole nano-unit. Throws a RangeError on terms that cannot be.
 */
export function splitAtEnd(terms: RentalTerms, nowMs: number): RentalSplit {
  const { paid, released } = terms;
  const left = subtract(paid, released);
  if (left.amountE9s < 0n || terms.setupFee.amountE9s < 0n || compare(terms.setupFee, paid) > 0) {
    throw new RangeError('a rental cannot have released more than was paid, or a set-up fee beyond that');
  }
  const unused = unusedShare(terms, nowMs);
  const refund = compare(unused, left) > 0 ? left : unused;
  return { refund, release: subtract(left, refund) };
}

function unusedShare(terms: RentalTerms, nowMs: number): Money {
  const { paid, setupFee, rentedMs, activeAt, pausedMs } = terms;
  if (!Number.isSafeInteger(rentedMs) || rentedMs <= 0)
    throw new RangeError('a rental lasts some whole milliseconds');
  if (activeAt === null) return paid;
  const elapsedMs = Math.trunc(nowMs) - Math.trunc(activeAt) - Math.trunc(pausedMs);
  const usedMs = Math.min(Math.max(elapsedMs, 0), rentedMs);
  return multiplyRatio(subtract(paid, setupFee), BigInt(rentedMs - usedMs), BigInt(rentedMs), 'ceil');
}
