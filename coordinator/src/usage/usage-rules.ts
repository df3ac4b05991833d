/**
 * PURE: what was used of a contract in a billing period, and what that costs beyond the rent. Integers throughout:
 * milliseconds of use, and nano-units of what was counted; one division, at the end, in the renter's favour.
 *
 * INVARIANTS:
 * - What a period costs depends on its events alone, not on their order, nor on when they came.
 * - One more event never makes a period cheaper: a late one is charged by the difference.
 * - Each millisecond and each count is in one period: periods follow each other without a gap.
 */
import type { BillingUnit } from '@dc/shared/wire/usage';

const DAY_MS = 86_400_000;
/** A billing period: from the start of the rental, 30 days each; the last one ends with the contract. */
export const PERIOD_MS = 30 * DAY_MS;
/** What a unit of use is. A month is a whole billing period. */
export const UNIT_MS: Readonly<Record<BillingUnit, number>> = {
  minute: 60_000,
  hour: 3_600_000,
  day: DAY_MS,
  month: PERIOD_MS,
};
/** Two heartbeats this far apart prove the time between them; of a longer silence nothing is known, and it is free. */
export const HEARTBEAT_GAP_MS = 600_000;
export const SESSION_MS_MAX = DAY_MS;
const NANO = 1_000_000_000n;

/** From `fromAt` until just before `toAt`, in milliseconds since the epoch. */
export interface Interval {
  fromAt: number;
  toAt: number;
}

/** An event, as far as it matters here. */
export interface UsageFact {
  kind: string;
  at: number;
  endedAt: number | null;
  /** Of a counter: billing units in nano-units. */
  unitsE9s: bigint | null;
}

/** What was used. */
export interface Measured {
  usedMs: number;
  countedE9s: bigint;
}

/** What a unit costs, and how many are included in a whole period. */
export interface UsageTerms {
  unit: BillingUnit;
  unitPriceE9s: bigint;
  includedUnits: number;
  /** The most that a period may cost. */
  capE9s: bigint;
}

/** What a period costs. */
export interface PeriodBill {
  /** In nano-units of billing units, rounded down for people; the amount is computed from what is exact. */
  usedE9s: bigint;
  includedE9s: bigint;
  overageE9s: bigint;
  amountE9s: bigint;
  isCapped: boolean;
}

/** What was used in `period`: time that was paid for (`billable`, in order and without overlaps) and in use. */
export function measureUse(
  facts: readonly UsageFact[],
  billable: readonly Interval[],
  period: Interval,
): Measured {
  const windows = intersect(billable, [period]);
  const used = intersect(unite(timesInUse(facts)), windows);
  const isInside = (at: number): boolean => windows.some(({ fromAt, toAt }) => at >= fromAt && at < toAt);
  return {
    usedMs: used.reduce((sum, { fromAt, toAt }) => sum + toAt - fromAt, 0),
    countedE9s: facts
      .filter(({ kind, at }) => kind === 'counter' && isInside(at))
      .reduce((sum, { unitsE9s }) => sum + (unitsE9s ?? 0n), 0n),
  };
}

function timesInUse(facts: readonly UsageFact[]): Interval[] {
  const times: Interval[] = [];
  const beats = facts.filter(({ kind }) => kind === 'heartbeat').map(({ at }) => at);
  beats.sort((a, b) => a - b);
  for (const [index, toAt] of beats.entries()) {
    const fromAt = beats[index - 1];
    if (fromAt !== undefined && toAt - fromAt <= HEARTBEAT_GAP_MS) times.push({ fromAt, toAt });
  }
  for (const { kind, at, endedAt } of facts)
    if (kind === 'session' && endedAt !== null) times.push({ fromAt: at, toAt: endedAt });
  return times;
}

/** The same times, in order and without overlaps. */
function unite(times: readonly Interval[]): Interval[] {
  const united: Interval[] = [];
  for (const time of times.toSorted((a, b) => a.fromAt - b.fromAt)) {
    const last = united.at(-1);
    if (last === undefined || time.fromAt > last.toAt) united.push({ ...time });
    else last.toAt = Math.max(last.toAt, time.toAt);
  }
  return united;
}

/** What is in both; each in order and without overlaps. */
function intersect(some: readonly Interval[], others: readonly Interval[]): Interval[] {
  const both: Interval[] = [];
  let next = 0;
  for (const { fromAt, toAt } of some) {
    // An interval that ends before this one begins meets none of the later ones either.
    while ((others[next]?.toAt ?? Infinity) <= fromAt) next += 1;
    for (let index = next; index < others.length; index += 1) {
      const other = others[index] as Interval;
      if (other.fromAt >= toAt) break;
      both.push({ fromAt: Math.max(fromAt, other.fromAt), toAt: Math.min(toAt, other.toAt) });
    }
  }
  return both;
}

/** The time for which use can be charged: while the rental ran, without its pauses (in order). */
export function billableTimes(rental: Interval, pauses: readonly Interval[]): Interval[] {
  const times: Interval[] = [];
  let { fromAt } = rental;
  for (const pause of pauses) {
    if (pause.fromAt > fromAt) times.push({ fromAt, toAt: Math.min(pause.fromAt, rental.toAt) });
    fromAt = Math.max(fromAt, pause.toAt);
  }
  if (rental.toAt > fromAt) times.push({ fromAt, toAt: rental.toAt });
  return times.filter((time) => time.toAt > time.fromAt);
}

/** The billing periods of a rental, from the one that `sinceAt` lies in on; the last one ends with it. */
export function periodsOf({ fromAt, toAt }: Interval, sinceAt = fromAt): Interval[] {
  const first = Math.max(0, Math.floor((sinceAt - fromAt) / PERIOD_MS));
  const periods: Interval[] = [];
  for (let at = fromAt + first * PERIOD_MS; at < toAt; at += PERIOD_MS)
    periods.push({ fromAt: at, toAt: Math.min(at + PERIOD_MS, toAt) });
  return periods;
}

/** What a period costs beyond the rent. A period shorter than 30 days includes its share of the included units. */
export function billPeriod(
  terms: UsageTerms,
  { usedMs, countedE9s }: Measured,
  period: Interval,
): PeriodBill {
  const unitMs = BigInt(UNIT_MS[terms.unit]);
  const wholeMs = BigInt(PERIOD_MS);
  // All in nano-units × unitMs × wholeMs, so that nothing is divided before the end.
  const scale = unitMs * wholeMs;
  const used = (BigInt(usedMs) * NANO + countedE9s * unitMs) * wholeMs;
  const included = BigInt(terms.includedUnits) * BigInt(period.toAt - period.fromAt) * NANO * unitMs;
  const overage = used > included ? used - included : 0n;
  const priceE9s = (terms.unitPriceE9s * overage) / (scale * NANO);
  return {
    usedE9s: used / scale,
    includedE9s: included / scale,
    overageE9s: overage / scale,
    amountE9s: priceE9s < terms.capE9s ? priceE9s : terms.capE9s,
    isCapped: priceE9s >= terms.capE9s && overage > 0n,
  };
}

/** What a period will have used at its end if it goes on as it did until `now`. */
export function projectUse({ usedMs, countedE9s }: Measured, period: Interval, now: number): Measured {
  const elapsed = BigInt(Math.min(now, period.toAt) - period.fromAt);
  if (elapsed <= 0n) return { usedMs, countedE9s };
  const whole = BigInt(period.toAt - period.fromAt);
  return {
    usedMs: Number((BigInt(usedMs) * whole) / elapsed),
    countedE9s: (countedE9s * whole) / elapsed,
  };
}
