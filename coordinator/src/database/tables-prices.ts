/** Row types of the tables of migration 0010: what sources say of tokens, and at which rate payments were asked for. */

export interface PriceTables {
  rate_quotes: RateQuotesTable;
  payment_rates: PaymentRatesTable;
}

/** The last that each source said of a pair. */
export interface RateQuotesTable {
  source: string;
  token: string;
  currency: string;
  /** Of one token; null where it never said anything that could be used. */
  rate_e9s: bigint | null;
  /** When it was so, by the source's word. */
  at: number | null;
  asked_at: number;
  /** Why its last answer could not be used. */
  problem: string | null;
  /** Not asked again before. */
  retry_at: number;
}

/** The rate at which a payment was turned into tokens; never changed. */
export interface PaymentRatesTable {
  payment_key: string;
  contract_id: string | null;
  token: string;
  currency: string;
  rate_e9s: bigint;
  at: number;
  /** Tokens, in nano-units. */
  token_amount_e9s: bigint;
  /** JSON: who said so, and what. */
  sources: string;
}
