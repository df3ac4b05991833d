import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromMinorUnits, stepE9s, toMinorUnits } from './minor-units.ts';

const money = (amountE9s: bigint, currency: string) => ({ amountE9s, currency });

describe('amounts of Stripe', () => {
  it.each([
    ['USD', 12_500_000_000n, 1250],
    ['EUR', 10_000_000n, 1],
    ['JPY', 500_000_000_000n, 500],
    ['KRW', 1_000_000_000n, 1],
    ['KWD', 5_120_000_000n, 5120],
    ['TND', 10_000_000n, 10],
    ['ISK', 7_000_000_000n, 700],
    ['UGX', 1_000_000_000n, 100],
  ])('of %s have the right number of decimals', (currency, amountE9s, minor) => {
    expect(toMinorUnits(money(amountE9s, currency))).toBe(minor);
    expect(fromMinorUnits(minor, currency.toLowerCase())).toEqual(money(amountE9s, currency));
  });

  it.each([
    ['a fraction of a cent', 'USD', 1_000_001n],
    ['a fraction of a yen', 'JPY', 10_000_000n],
    ['the third decimal of a dinar, which has to be 0', 'KWD', 1_000_000n],
    ['a fraction of a króna', 'ISK', 10_000_000n],
    ['a currency that Stripe does not know', 'ICP', 1_000_000_000n],
  ])('cannot say %s', (_name, currency, amountE9s) => {
    expect(() => toMinorUnits(money(amountE9s, currency))).toThrow(
      expect.objectContaining({ code: 'PAYMENT_AMOUNT_UNSUPPORTED' }),
    );
  });

  it('are never a rounded number', () => {
    expect(() => fromMinorUnits(0.5, 'usd')).toThrow();
    expect(() => fromMinorUnits(1, 'xyz')).toThrow();
    expect(() => toMinorUnits(money(2n ** 62n - (2n ** 62n % 10_000_000n), 'USD'))).not.toThrow();
  });

  it('go there and back', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('USD', 'JPY', 'BHD', 'ISK'),
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        (currency, steps) => {
          const amount = money(steps * (stepE9s(currency) ?? 1n), currency);
          expect(fromMinorUnits(toMinorUnits(amount), currency)).toEqual(amount);
        },
      ),
    );
  });
});
