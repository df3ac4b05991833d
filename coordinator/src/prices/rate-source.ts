/** The port to somebody who knows what tokens cost: an exchange's public API, say. */

/** A token and the currency that its price is in, by their symbols. */
export interface Pair {
  token: string;
  currency: string;
}

/** What a source says. */
export interface Quote {
  /** What one token costs, in nano-units of the currency. */
  rateE9s: bigint;
  /** When it was so, in milliseconds; null where the source does not say: then it is when it was asked. */
  at: number | null;
}

export interface RateSource {
  readonly name: string;
  /**
   * Asks for the price. Throws RATE_SOURCE_UNUSABLE, with `retryAfterMs` where the source said when to ask again.
   * Aborts with `signal`.
   */
  fetchQuote(pair: Pair, signal: AbortSignal): Promise<Quote>;
}
