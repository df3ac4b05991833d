/**
 * What judged time is worth. Pure. All amounts follow from sums of milliseconds since the rental began, rounded down
 * each time, so that any number of steps gives what one step would: no unit is lost or made on the way, and what
 * rounding leaves over is settled at the end.
 */
import { allocate, makeMoney, multiplyRatio } from '@dc/shared/money/money';
import { splitAtEnd } from './refund-rules.ts';
import type { Gap, Judgement } from './judge-time.ts';

/** The terms of a rental, in nano-units of its currency, and what was decided of it before. */
export interface EarningTerms {
  currency: string;
  /** Paid, for the rental and its extensions. */
  paidE9s: bigint;
  setupFeeE9s: bigint;
  /** The time that was paid for. */
  rentedMs: number;
  earned: Earned;
}

/** What was decided so far. */
export interface Earned {
  provedMs: number;
  unprovedMs: number;
  /** To the provider and the platform, without the set-up fee. */
  releasedE9s: bigint;
  creditedE9s: bigint;
  setupFeeReleased: boolean;
}

/** A gap and what the renter is credited for it. */
export interface CreditLine extends Gap {
  amountE9s: bigint;
}

/** What a judgement moves, and what is decided after it. */
export interface EarningStep {
  setupFeeE9s: bigint;
  releaseE9s: bigint;
  creditE9s: bigint;
  /** Together `creditE9s`. */
  credits: CreditLine[];
  earned: Earned;
}

/** The step of a rental that goes on, or that has ended and waits for evidence. */
export function earn(terms: EarningTerms, judgement: Judgement): EarningStep {
  const { currency, paidE9s, setupFeeE9s, rentedMs, earned } = terms;
  const rent = makeMoney(paidE9s - setupFeeE9s, currency);
  const worthOf = (ms: number): bigint =>
    multiplyRatio(rent, BigInt(ms), BigInt(rentedMs), 'floor').amountE9s;
  const provedMs = earned.provedMs + judgement.provedMs;
  const unprovedMs = earned.unprovedMs + judgement.gaps.reduce((sum, gap) => sum + gap.toAt - gap.fromAt, 0);
  const releasedE9s = worthOf(provedMs);
  const creditedE9s = worthOf(unprovedMs);
  const creditE9s = creditedE9s - earned.creditedE9s;
  return {
    setupFeeE9s: earned.setupFeeReleased ? 0n : setupFeeE9s,
    releaseE9s: releasedE9s - earned.releasedE9s,
    creditE9s,
    credits: creditLines(judgement.gaps, creditE9s, currency),
    earned: { provedMs, unprovedMs, releasedE9s, creditedE9s, setupFeeReleased: true },
  };
}

function creditLines(gaps: readonly Gap[], creditE9s: bigint, currency: string): CreditLine[] {
  if (gaps.length === 0) return [];
  const weights = gaps.map((gap) => BigInt(gap.toAt - gap.fromAt));
  const amounts = allocate(makeMoney(creditE9s, currency), weights);
  return gaps.map((gap, index) => ({ ...gap, amountE9s: amounts[index]?.amountE9s ?? 0n }));
}

/** The last step of a rental, and what goes back of it for time that was not used. */
export interface FinalStep extends EarningStep {
  refundE9s: bigint;
}

/** How long the rental ran, for `endEarning`. */
export interface RentalEnd {
  activeAt: number;
  pausedMs: number;
  endedAt: number;
}

/**
 * The step at the end: the unused share goes back, what was proved is the provider's, what was not proved the
 * renter's; together exactly what was paid. While the judgement waits for evidence, what hangs on it stays in escrow.
 */
export function endEarning(terms: EarningTerms, judgement: Judgement, end: RentalEnd): FinalStep {
  const step = earn(terms, judgement);
  const { currency, paidE9s, setupFeeE9s, rentedMs } = terms;
  const money = (amountE9s: bigint) => makeMoney(amountE9s, currency);
  const decidedE9s = setupFeeE9s + step.earned.releasedE9s + step.earned.creditedE9s;
  const { refund, release: rest } = splitAtEnd(
    {
      paid: money(paidE9s),
      setupFee: money(setupFeeE9s),
      released: money(decidedE9s),
      rentedMs,
      activeAt: end.activeAt,
      pausedMs: end.pausedMs,
    },
    end.endedAt,
  );
  const refundE9s = refund.amountE9s;
  return judgement.isWaiting ? { ...step, refundE9s } : { ...withRest(step, rest.amountE9s), refundE9s };
}

/** What rounding left over, a unit or two: to the last line of this step's credits, else to the provider. */
function withRest(step: EarningStep, restE9s: bigint): EarningStep {
  const { earned, credits } = step;
  if (restE9s === 0n) return step;
  if (credits.length === 0)
    return {
      ...step,
      releaseE9s: step.releaseE9s + restE9s,
      earned: { ...earned, releasedE9s: earned.releasedE9s + restE9s },
    };
  return {
    ...step,
    creditE9s: step.creditE9s + restE9s,
    credits: credits.map((line, index) =>
      index === credits.length - 1 ? { ...line, amountE9s: line.amountE9s + restE9s } : line,
    ),
    earned: { ...earned, creditedE9s: earned.creditedE9s + restE9s },
  };
}
