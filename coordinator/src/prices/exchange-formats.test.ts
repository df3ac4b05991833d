import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXCHANGE_NAMES, EXCHANGES, readPrice, type ExchangeName } from './exchange-formats.ts';

const ICP = { token: 'ICP', currency: 'USD' };
/** As their pages on their APIs show it. */
const ANSWERS: Readonly<Record<ExchangeName, unknown>> = {
  coinbase: {
    ...{ trade_id: 86326522, price: '4.637', size: '5.2', time: '2025-11-20T10:03:20.000Z' },
    ...{ bid: '4.636', ask: '4.638', volume: '1254921.1' },
  },
  kraken: {
    error: [],
    result: { ICPUSD: { a: ['4.640', '54', '54.000'], b: ['4.636', '21', '21.000'], c: ['4.637', '12.5'] } },
  },
  binance: {
    ...{ symbol: 'ICPUSDT', priceChange: '-0.1', lastPrice: '4.63700000', bidPrice: '4.636' },
    ...{ openTime: 1763546600000, closeTime: 1763633000000, count: 76 },
  },
  coingecko: { 'internet-computer': { usd: 4.637, last_updated_at: 1763633000 } },
};
const AT: Readonly<Record<ExchangeName, number | null>> = {
  ...{ coinbase: 1763633000000, kraken: null, binance: 1763633000000, coingecko: 1763633000000 },
};

describe.each(EXCHANGE_NAMES)('%s', (name) => {
  const { pathOf, read } = EXCHANGES[name];

  it('is asked for a pair by a path that it has', () => {
    expect(pathOf(ICP)).toMatch(/^\/[^\s#]+$/);
  });

  it('is read as it answers', () => {
    expect(read(ANSWERS[name], ICP)).toEqual({ rateE9s: 4_637_000_000n, at: AT[name] });
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['a text', 'maintenance'],
    ['a list', []],
    ['another object', { message: 'NotFound' }],
    [
      'a price of another kind',
      { price: {}, result: { X: { c: [{}] } }, lastPrice: [], 'internet-computer': { usd: null } },
    ],
  ])('says nothing in %s', (_name, answer) => {
    expect(read(answer, ICP)).toBeNull();
  });

  it.each(['', '0', '0.0000000001', '-4.6', 'NaN', 'Infinity', '1e400', '4,63', ' 4.63', '99999999999'])(
    'says nothing in a price of %j',
    (price) => {
      const text = JSON.stringify(ANSWERS[name]).replaceAll(/"?4\.637(?:00000)?"?/g, JSON.stringify(price));
      expect(text).toContain(JSON.stringify(price));
      expect(read(JSON.parse(text), ICP)).toBeNull();
    },
  );

  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (answer) => {
        const quote = read(answer, ICP);
        expect(quote === null || quote.rateE9s > 0n).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what an exchange says', () => {
  it('without its time counts for nothing where it has one', () => {
    expect(EXCHANGES.coinbase.read({ price: '4.6' }, ICP)).toBeNull();
    expect(EXCHANGES.coinbase.read({ price: '4.6', time: 'yesterday' }, ICP)).toBeNull();
    expect(EXCHANGES.binance.read({ lastPrice: '4.6' }, ICP)).toBeNull();
    expect(EXCHANGES.binance.read({ lastPrice: '4.6', closeTime: -1 }, ICP)).toBeNull();
    expect(EXCHANGES.coingecko.read({ 'internet-computer': { usd: 4.6 } }, ICP)).toBeNull();
  });

  it('with an error, or of two pairs at once, counts for nothing', () => {
    const ticker = { c: ['4.6', '1'] };
    expect(EXCHANGES.kraken.read({ error: ['EQuery:Unknown asset pair'] }, ICP)).toBeNull();
    expect(EXCHANGES.kraken.read({ error: ['EGeneral:Busy'], result: { A: ticker } }, ICP)).toBeNull();
    expect(EXCHANGES.kraken.read({ error: [], result: { A: ticker, B: ticker } }, ICP)).toBeNull();
  });

  it('is not asked for where it is not known by its symbol', () => {
    expect(EXCHANGES.coingecko.pathOf({ token: 'XYZ', currency: 'USD' })).toBeNull();
  });

  it('is read exactly, as a text or as a number', () => {
    expect(readPrice('4.637')).toBe(4_637_000_000n);
    expect(readPrice(1e-7)).toBe(100n);
    expect(readPrice('0.0000000019')).toBe(1n);
    expect(readPrice(1_000_000_000)).toBe(10n ** 18n);
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 18n }), (rateE9s) => {
        const text = `${String(rateE9s / 1_000_000_000n)}.${String(rateE9s % 1_000_000_000n).padStart(9, '0')}`;
        expect(readPrice(text)).toBe(rateE9s);
      }),
    );
  });
});
