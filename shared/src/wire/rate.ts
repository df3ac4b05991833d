/** Rates of tokens on the wire: what one costs in a currency, and who says so. */
import { Type, type Static } from 'typebox';
import { closed, nullable, Timestamp } from './schema-parts.ts';

const Rate = Type.String({
  pattern: '^[1-9][0-9]{0,18}$',
  description: 'What one token costs, in nano-units of the currency',
});

const RateQuote = closed({
  source: Type.String({ description: 'An exchange, or who gathers what exchanges say' }),
  rate_e9s: nullable(Rate),
  at: nullable(Timestamp),
  used: Type.Boolean(),
  problem: nullable(Type.String({ description: 'Why it does not count' })),
});

export const TokenRate = closed({
  token: Type.String(),
  currency: Type.String(),
  rate_e9s: nullable(Rate),
  at: nullable(Timestamp),
  usable: Type.Boolean({
    description: 'False: nothing can be paid in this token now, and `problem` says why',
  }),
  problem: nullable(Type.String()),
  quotes: Type.Array(RateQuote),
});
export type WireTokenRate = Static<typeof TokenRate>;

export const TokenPrice = closed(
  {
    token: Type.String(),
    amount_e9s: Type.String({ description: 'Tokens, in nano-units' }),
    rate_e9s: Rate,
    at: Timestamp,
    sources: Type.Array(closed({ source: Type.String(), rate_e9s: Rate, at: Timestamp })),
  },
  { description: 'The rate at which the price was turned into tokens when the payment was asked for' },
);
export type WireTokenPrice = Static<typeof TokenPrice>;
