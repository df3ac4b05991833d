import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAppError } from '../errors.ts';
import {
  add,
  allocate,
  compare,
  formatMoney,
  fromWire,
  makeMoney,
  multiplyRatio,
  parseMoney,
  subtract,
  toWire,
} from './money.ts';

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
const anyAmount = fc.bigInt({ min: MIN, max: MAX });

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return isAppError(error) ? error.code : (error as Error).name;
  }
  return 'no error';
};

describe('arithmetic', () => {
  it('adds, subtracts and compares in one currency', () => {
    expect(add(usd(5n), usd(-7n))).toEqual(usd(-2n));
    expect(subtract(usd(5n), usd(7n))).toEqual(usd(-2n));
    expect([compare(usd(1n), usd(2n)), compare(usd(2n), usd(2n)), compare(usd(3n), usd(2n))]).toEqual([
      -1, 0, 1,
    ]);
  });

  it('refuses to mix currencies', () => {
    for (const mix of [add, subtract, compare]) {
      expect(() => mix(usd(1n), makeMoney(1n, 'EUR'))).toThrow('USD and EUR cannot be mixed');
    }
  });

  it('refuses what 64 bits cannot hold instead of wrapping', () => {
    expect(codeOf(() => add(usd(MAX), usd(1n)))).toBe('MONEY_RANGE');
    expect(codeOf(() => subtract(usd(MIN), usd(1n)))).toBe('MONEY_RANGE');
    expect(codeOf(() => multiplyRatio(usd(MAX), 2n, 1n, 'floor'))).toBe('MONEY_RANGE');
    expect(codeOf(() => makeMoney(MAX + 1n, 'USD'))).toBe('MONEY_RANGE');
  });

  it('multiplies before it divides', () => {
    expect(multiplyRatio(usd(10n), 1n, 3n, 'floor')).toEqual(usd(3n));
    expect(multiplyRatio(usd(10n), 1n, 3n, 'ceil')).toEqual(usd(4n));
    expect(multiplyRatio(usd(-10n), 1n, 3n, 'floor')).toEqual(usd(-4n));
    expect(multiplyRatio(usd(-10n), 1n, 3n, 'ceil')).toEqual(usd(-3n));
    expect(multiplyRatio(usd(MAX), MAX, MAX, 'floor')).toEqual(usd(MAX));
    expect(() => multiplyRatio(usd(1n), 1n, 0n, 'floor')).toThrow(RangeError);
  });

  it('rounds to the neighbour on the side that was asked for', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }),
        fc.bigInt({ min: 0n, max: 2n ** 20n }),
        fc.bigInt({ min: 1n, max: 2n ** 20n }),
        (amount, numerator, denominator) => {
          const floor = multiplyRatio(usd(amount), numerator, denominator, 'floor').amountE9s;
          const ceil = multiplyRatio(usd(amount), numerator, denominator, 'ceil').amountE9s;
          const exact = amount * numerator;
          expect(floor * denominator <= exact && exact < (floor + 1n) * denominator).toBe(true);
          expect((ceil - 1n) * denominator < exact && exact <= ceil * denominator).toBe(true);
        },
      ),
    );
  });
});

describe('allocate', () => {
  it('gives the left-over units to the largest remainders', () => {
    expect(allocate(usd(10n), [1n, 1n, 1n]).map((part) => part.amountE9s)).toEqual([4n, 3n, 3n]);
    expect(allocate(usd(7n), [1n, 9n]).map((part) => part.amountE9s)).toEqual([1n, 6n]);
    expect(allocate(usd(-10n), [1n, 1n, 1n]).map((part) => part.amountE9s)).toEqual([-4n, -3n, -3n]);
  });

  it('never loses or makes a unit, and stays within one unit of each share', () => {
    const weights = fc
      .array(fc.bigInt({ min: 0n, max: 2n ** 64n }), { minLength: 1, maxLength: 12 })
      .filter((list) => list.some((weight) => weight > 0n));
    fc.assert(
      fc.property(anyAmount, weights, (amount, list) => {
        const parts = allocate(usd(amount), list).map((part) => part.amountE9s);
        const weightSum = list.reduce((sum, weight) => sum + weight, 0n);
        expect(parts.reduce((sum, part) => sum + part, 0n)).toBe(amount);
        for (const [index, part] of parts.entries()) {
          const distance = part * weightSum - amount * (list[index] ?? 0n);
          expect(distance < weightSum && distance > -weightSum).toBe(true);
        }
      }),
    );
  });

  it('refuses weights that say nothing', () => {
    expect(() => allocate(usd(1n), [])).toThrow(RangeError);
    expect(() => allocate(usd(1n), [0n])).toThrow(RangeError);
    expect(() => allocate(usd(1n), [2n, -1n])).toThrow(RangeError);
  });
});

describe('the wire', () => {
  it('carries every amount there and back', () => {
    fc.assert(
      fc.property(anyAmount, (amount) => {
        expect(fromWire(toWire(usd(amount)))).toEqual(usd(amount));
      }),
    );
    expect(toWire(usd(12_500_000_000n))).toEqual({ amount_e9s: '12500000000', currency: 'USD' });
  });

  it.each([
    '',
    ' 1',
    '1 ',
    '+1',
    '01',
    '-0',
    '1.0',
    '1e9',
    '0x10',
    '1_000',
    '１',
    'NaN',
    '1\n',
    '9'.repeat(5000),
  ])('refuses the amount %j', (amount_e9s) =>
    expect(codeOf(() => fromWire({ amount_e9s, currency: 'USD' }))).toBe('REQUEST_INVALID'),
  );

  it.each(['9223372036854775808', '-9223372036854775809'])(
    'refuses %s, which 64 bits cannot hold',
    (amount_e9s) => expect(codeOf(() => fromWire({ amount_e9s, currency: 'USD' }))).toBe('MONEY_RANGE'),
  );

  it.each(['', 'US', 'usd', '1USD', 'US D', 'USD\n', 'A'.repeat(11)])('refuses the currency %j', (currency) =>
    expect(codeOf(() => fromWire({ amount_e9s: '1', currency }))).toBe('REQUEST_INVALID'),
  );
});

describe('formatMoney', () => {
  it.each([
    [0n, '0.00 USD'],
    [12_500_000_000n, '12.50 USD'],
    [-12_500_000_000n, '-12.50 USD'],
    [1n, '0.000000001 USD'],
    [-1n, '-0.000000001 USD'],
    [1_005_000_000n, '1.005 USD'],
    [1_000_000_000_000n, '1000.00 USD'],
    [9_007_199_254_740_993n, '9007199.254740993 USD'],
    [MIN, '-9223372036.854775808 USD'],
  ])('writes %s as %s', (amount, text) => expect(formatMoney(usd(amount))).toBe(text));
});

describe('money that a person types', () => {
  it('is read exactly, and printed again as the same', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 9_000_000_000n * 10n ** 9n }), (amountE9s) => {
        const money = makeMoney(amountE9s, 'USD');
        expect(parseMoney(formatMoney(money))).toEqual(money);
      }),
    );
    expect(parseMoney('0.008 USD').amountE9s).toBe(8_000_000n);
    expect(parseMoney('3 EUR').amountE9s).toBe(3_000_000_000n);
  });

  it.each(['', '1', 'USD', '1,50 USD', '-1 USD', '01 USD', '1.0000000001 USD', '1 usd', '1e3 USD', '1.USD'])(
    'refuses %j',
    (text) => {
      expect(() => parseMoney(text)).toThrow(/is not an amount/);
    },
  );
});
