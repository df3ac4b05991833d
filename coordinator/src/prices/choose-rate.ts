/**
 * PURE: the rate that several sources agree on. Old, absurd and outlying quotes do not count; with too few left there
 * is no rate. One source that lies, sleeps or is broken into changes nothing.
 */

/** The last that a source said, kept until it says something else. */
export interface KeptQuote {
  source: string;
  /** Null where it never said anything that could be used. */
  rateE9s: bigint | null;
  at: number | null;
  /** Why its last answer could not be used. */
  problem: string | null;
}

/** What counts. */
export interface RateLimits {
  maxAgeMs: number;
  /** How far a quote may be from the median, in thousandths of it. */
  maxDeviationPermille: number;
  minSources: number;
}

/** A quote, and whether it counts. */
export interface JudgedQuote extends KeptQuote {
  used: boolean;
}

export interface RateChoice {
  /** Null where too few sources agree. */
  rateE9s: bigint | null;
  /** The age of the rate is that of its oldest quote. */
  at: number | null;
  /** Why there is none. */
  problem: string | null;
  quotes: readonly JudgedQuote[];
}

/** Clocks of exchanges may be this far ahead. */
const AHEAD_MS_MAX = 60_000;

/** Chooses the median of the quotes that count. */
export function chooseRate(kept: readonly KeptQuote[], limits: RateLimits, now: number): RateChoice {
  const dated = kept.map((quote): JudgedQuote => ({ ...quote, ...ageProblem(quote, limits, now) }));
  const first = medianOf(dated);
  const quotes = dated.map((quote): JudgedQuote => {
    if (!quote.used || quote.rateE9s === null || first === null) return quote;
    const distance = quote.rateE9s > first ? quote.rateE9s - first : first - quote.rateE9s;
    const isNear = distance * 1000n <= first * BigInt(limits.maxDeviationPermille);
    return isNear ? quote : { ...quote, used: false, problem: 'too far from the others' };
  });
  const used = quotes.filter((quote) => quote.used);
  const rateE9s = used.length < limits.minSources ? null : medianOf(quotes);
  if (rateE9s === null) return { rateE9s: null, at: null, problem: describe(quotes, limits), quotes };
  return { rateE9s, at: Math.min(...used.map(({ at }) => at ?? now)), problem: null, quotes };
}

function ageProblem({ rateE9s, at, problem }: KeptQuote, { maxAgeMs }: RateLimits, now: number) {
  if (rateE9s === null || at === null) return { used: false, problem: problem ?? 'not asked yet' };
  if (rateE9s <= 0n) return { used: false, problem: 'not a price' };
  if (at > now + AHEAD_MS_MAX) return { used: false, problem: 'of the future' };
  if (now - at > maxAgeMs)
    return {
      used: false,
      problem: `${String(Math.floor((now - at) / 1000))} s old${problem === null ? '' : `: ${problem}`}`,
    };
  // One failure does not make a fresh quote worse.
  return { used: true, problem: null };
}

/** The middle one; of an even number the mean of the two in the middle, rounded down. */
function medianOf(quotes: readonly JudgedQuote[]): bigint | null {
  const rates = quotes.flatMap(({ used, rateE9s }) => (used && rateE9s !== null ? [rateE9s] : []));
  rates.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const high = rates[Math.floor(rates.length / 2)];
  const low = rates[Math.floor((rates.length - 1) / 2)];
  return high === undefined || low === undefined ? null : (high + low) / 2n;
}

function describe(quotes: readonly JudgedQuote[], { minSources }: RateLimits): string {
  const good = quotes.filter(({ used }) => used).length;
  const rest = quotes
    .filter(({ used }) => !used)
    .map(({ source, problem }) => `${source}: ${problem ?? 'unknown'}`)
    .join('; ');
  return `${String(good)} of ${String(quotes.length)} sources agree, and ${String(minSources)} must${rest === '' ? '' : ` (${rest})`}`;
}
