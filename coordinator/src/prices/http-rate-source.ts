/** A rate source over HTTP: asks an exchange for a pair, for a few seconds and a few kilobytes at most. */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { ExchangeFormat } from './exchange-formats.ts';
import type { Pair, Quote, RateSource } from './rate-source.ts';

const CALL_TIMEOUT_MS = 8_000;
const ANSWER_BYTES_MAX = 65_536;
/** Where a source refuses and does not say for how long. */
const RETRY_AFTER_MS = 60_000;
const RETRY_AFTER_MS_MAX = 3_600_000;

/** The source `name`, which speaks `format`. */
export function createHttpRateSource(name: string, format: ExchangeFormat, clock: Clock): RateSource {
  return {
    name,
    async fetchQuote(pair, signal) {
      const path = format.pathOf(pair);
      if (path === null) throw unusable('does not have this pair');
      const late = new AbortController();
      const cancel = clock.schedule(CALL_TIMEOUT_MS, () => late.abort());
      try {
        const response = await fetch(`${format.apiBase}${path}`, {
          redirect: 'error',
          signal: AbortSignal.any([signal, late.signal]),
          headers: { accept: 'application/json', 'user-agent': 'dc-coordinator' },
        });
        return await readAnswer(response, format, pair);
      } catch (error) {
        if (error instanceof AppError) throw error;
        throw unusable(late.signal.aborted ? 'too slow' : 'no answer', error);
      } finally {
        cancel();
      }
    },
  };
}

async function readAnswer(response: Response, format: ExchangeFormat, pair: Pair): Promise<Quote> {
  if (!response.ok) {
    await response.body?.cancel();
    const isLimit = response.status === 429 || response.status === 418;
    throw new AppError('RATE_SOURCE_UNUSABLE', `answers ${String(response.status)}`, {
      ...(isLimit ? { retryAfterMs: retryAfterOf(response) } : {}),
    });
  }
  const text = await readText(response);
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    throw unusable('answers with something else than JSON', error);
  }
  const quote = format.read(answer, pair);
  if (quote === null) throw unusable('answers in another shape, or with a price that cannot be');
  return quote;
}

function retryAfterOf(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  const isSaid = Number.isFinite(seconds) && seconds >= 0;
  return isSaid ? Math.min(seconds * 1000, RETRY_AFTER_MS_MAX) : RETRY_AFTER_MS;
}

/** The body, unless it is longer than any answer to our question. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const body: AsyncIterable<Uint8Array> | Uint8Array[] = response.body ?? [];
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw unusable('answers with too much');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unusable(detail: string, cause?: unknown): AppError {
  return new AppError('RATE_SOURCE_UNUSABLE', detail, { cause });
}
