/** What tokens cost, and who says so: for everybody who pays in one. */
import { TokenRate } from '@dc/shared/wire/rate';
import { listOf } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { readRoute, type Route } from '../http/route.ts';
import type { Pair } from './rate-source.ts';
import { findRate, viewRate } from './token-price.ts';

export function rateRoutes({ db, config }: Context, pairs: readonly Pair[]): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/rates',
      permission: 'public',
      summary: 'What the tokens that are taken here cost now: the median of the sources that agree.',
      schema: { response: listOf(TokenRate) },
      errors: [],
      async handle({ now }) {
        const items = [];
        for (const pair of pairs)
          items.push(viewRate(pair, await findRate(db.read, pair, { config: config.prices, now })));
        return { status: 200, body: { items, next_cursor: null } };
      },
    }),
  ];
}
