import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { EXCHANGES } from './exchange-formats.ts';
import { createHttpRateSource } from './http-rate-source.ts';
import { ExchangeStandIn, type ExchangeMood } from './testing/exchange-stand-in.ts';

const ICP = { token: 'ICP', currency: 'USD' };
const clock = new ManualClock();
let standIn: ExchangeStandIn;
beforeEach(async () => {
  standIn = new ExchangeStandIn(clock);
  await standIn.listen();
  onTestFinished(() => standIn.close());
});

const sourceOf = (name: 'coinbase' | 'kraken') => {
  const apiBase = standIn.sources.find((source) => source.name === name)?.apiBase ?? '';
  return createHttpRateSource(name, { ...EXCHANGES[name], apiBase }, clock);
};
const ask = (signal = new AbortController().signal) => sourceOf('coinbase').fetchQuote(ICP, signal);

describe('a source over HTTP', () => {
  it('says what the exchange says', async () => {
    expect(await ask()).toEqual({ rateE9s: 5_000_000_000n, at: clock.now() });
    expect(await sourceOf('kraken').fetchQuote(ICP, new AbortController().signal)).toEqual({
      rateE9s: 5_000_000_000n,
      at: null,
    });
    expect(standIn.asked).toEqual(['coinbase/products/ICP-USD/ticker', 'kraken/0/public/Ticker?pair=ICPUSD']);
  });

  it.each<[string, Partial<ExchangeMood>, { message: string; retryAfterMs?: number }]>([
    ['fails', { status: 503 }, { message: 'answers 503' }],
    ['does not know the pair', { status: 404 }, { message: 'answers 404' }],
    ['limits us', { status: 429, retryAfterS: 90 }, { message: 'answers 429', retryAfterMs: 90_000 }],
    [
      'limits us without saying for how long',
      { status: 429 },
      { message: 'answers 429', retryAfterMs: 60_000 },
    ],
    [
      'bans us for a year',
      { status: 418, retryAfterS: 31_536_000 },
      { message: 'answers 418', retryAfterMs: 3_600_000 },
    ],
    ['sends us elsewhere', { fault: 'redirect' }, { message: 'no answer' }],
    ['hangs up', { fault: 'reset' }, { message: 'no answer' }],
    ['answers with a page', { text: '<html>' }, { message: 'answers with something else than JSON' }],
    ['answers with too much', { text: ' '.repeat(70_000) }, { message: 'answers with too much' }],
    [
      'answers in another shape',
      { text: '{"cost":5}' },
      { message: 'answers in another shape, or with a price that cannot be' },
    ],
    [
      'has an absurd price',
      { price: '-1' },
      { message: 'answers in another shape, or with a price that cannot be' },
    ],
  ])('that %s says nothing', async (_name, mood, problem) => {
    standIn.set(['coinbase'], mood);
    await expect(ask()).rejects.toMatchObject({ code: 'RATE_SOURCE_UNUSABLE', ...problem });
  });

  it('that does not answer is waited for a few seconds', async () => {
    standIn.set(['coinbase'], { fault: 'hang' });
    const answer = ask().catch((error: unknown) => error);
    while (standIn.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(8_000);
    expect(await answer).toMatchObject({ code: 'RATE_SOURCE_UNUSABLE', message: 'too slow' });
  });

  it('stops when nobody wants to know any more', async () => {
    standIn.set(['coinbase'], { fault: 'hang' });
    const abort = new AbortController();
    const answer = ask(abort.signal).catch((error: unknown) => error);
    abort.abort();
    expect(await answer).toMatchObject({ code: 'RATE_SOURCE_UNUSABLE' });
  });

  it('that does not have the token is not asked', async () => {
    const apiBase = standIn.sources[3]?.apiBase ?? '';
    const gecko = createHttpRateSource('coingecko', { ...EXCHANGES.coingecko, apiBase }, clock);
    await expect(
      gecko.fetchQuote({ token: 'XYZ', currency: 'USD' }, new AbortController().signal),
    ).rejects.toMatchObject({ message: 'does not have this pair' });
    expect(standIn.asked).toEqual([]);
  });
});
