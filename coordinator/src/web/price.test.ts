import { formatMoney } from '@dc/shared/money/money';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { totalPriceE9s } from '../contracts/contract-rules.ts';
import {
  defaultHours,
  durationPresets,
  parseAmountE9s,
  parseHours,
  rentTotal,
  timePriceText,
} from './price.ts';

const usd = (amountE9s: bigint) => ({ amount_e9s: amountE9s.toString(), currency: 'USD' });

describe('price', () => {
  it('is what the coordinator will charge, whatever the price, fee and hours', () => {
    const amount = fc.bigInt({ min: 0n, max: 10n ** 12n });
    fc.assert(
      fc.property(amount, amount, fc.integer({ min: 1, max: 87_600 }), (hourE9s, feeE9s, hours) => {
        const total = rentTotal({ price_per_hour: usd(hourE9s), setup_fee: usd(feeE9s) }, hours);
        expect(total.amountE9s).toBe(
          totalPriceE9s({ price_per_hour_e9s: hourE9s, setup_fee_e9s: feeE9s }, hours),
        );
      }),
    );
  });

  it('shows hours times price and the total without rounding', () => {
    const offering = { price_per_hour: usd(12_345_678n), setup_fee: usd(1_000_000_000n) };
    expect(timePriceText(offering, 730)).toBe('9.01234494 USD');
    expect(formatMoney(rentTotal(offering, 730))).toBe('10.01234494 USD');
  });

  it('offers only durations that the offering allows', () => {
    expect(durationPresets({ min_hours: 6, max_hours: 168 }).map(({ hours }) => hours)).toEqual([
      6, 24, 72, 168,
    ]);
    expect(durationPresets({ min_hours: 30, max_hours: 40 })).toEqual([{ hours: 30, label: '30 hours' }]);
    expect(defaultHours({ min_hours: 1, max_hours: 720 })).toBe(24);
    expect(defaultHours({ min_hours: 30, max_hours: 40 })).toBe(30);
  });

  it('takes whole hours in range and nothing else', () => {
    const range = { min_hours: 2, max_hours: 48 };
    expect(parseHours(' 36 ', range)).toBe(36);
    for (const text of ['', '0', '1', '49', '-3', '2.5', '2e1', 'abc', '99999999999']) {
      expect(parseHours(text, range)).toBeNull();
    }
  });

  it('reads decimal amounts exactly, with a point or a comma', () => {
    expect(parseAmountE9s('0.05')).toBe('50000000');
    expect(parseAmountE9s('1,5')).toBe('1500000000');
    expect(parseAmountE9s('12')).toBe('12000000000');
    expect(parseAmountE9s('0.000000001')).toBe('1');
    for (const text of ['', '-1', '1e3', '0.0000000001', 'free', '1.2.3'])
      expect(parseAmountE9s(text)).toBeNull();
  });
});
