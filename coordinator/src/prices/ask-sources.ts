/**
 * Asks every source what the tokens that can be paid with cost, and keeps what it said. A periodic job: what one
 * process learns, all know. A source that fails or limits us keeps its last word, which ages.
 */
import { isAppError } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import type { RateQuotesTable } from '../database/tables-prices.ts';
import type { Pair, RateSource } from './rate-source.ts';
import { listQuotes, saveQuote } from './rate-store.ts';

export const ASK_SOURCES_EVERY_MS = 60_000;

/** Asks all of them at once; never throws for what a source does. */
export async function askSources(
  context: Pick<Context, 'db' | 'clock' | 'log'>,
  { sources, pairs }: { sources: readonly RateSource[]; pairs: readonly Pair[] },
  signal: AbortSignal,
): Promise<void> {
  const { clock, db } = context;
  const now = clock.now();
  for (const pair of pairs) {
    const known = await listQuotes(db.read, pair);
    const resting = new Set(known.filter(({ retry_at }) => retry_at > now).map(({ source }) => source));
    const rows = await Promise.all(
      sources
        .filter(({ name }) => !resting.has(name))
        .map((source) => {
          const last = known.find((quote) => quote.source === source.name) ?? null;
          return askSource(context, source, { pair, last, signal });
        }),
    );
    if (signal.aborted) return;
    await db.write(async (trx) => {
      for (const row of rows) await saveQuote(trx, row);
    });
  }
}

async function askSource(
  { clock, log }: Pick<Context, 'clock' | 'log'>,
  source: RateSource,
  { pair, last, signal }: { pair: Pair; last: RateQuotesTable | null; signal: AbortSignal },
): Promise<RateQuotesTable> {
  const row = { source: source.name, token: pair.token, currency: pair.currency };
  try {
    const { rateE9s, at } = await source.fetchQuote(pair, signal);
    const askedAt = clock.now();
    return { ...row, rate_e9s: rateE9s, at: at ?? askedAt, asked_at: askedAt, problem: null, retry_at: 0 };
  } catch (error) {
    if (!isAppError(error, 'RATE_SOURCE_UNUSABLE')) throw error;
    const askedAt = clock.now();
    // Once for each thing that is wrong, and not every minute.
    if (!signal.aborted && last?.problem !== error.message)
      log.warn({ ...row, problem: error.message }, 'rates.source_unusable');
    return {
      ...row,
      ...{ rate_e9s: last?.rate_e9s ?? null, at: last?.at ?? null, asked_at: askedAt },
      ...{ problem: error.message, retry_at: askedAt + (error.retryAfterMs ?? 0) },
    };
  }
}
