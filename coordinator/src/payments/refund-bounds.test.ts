import fc from 'fast-check';
import { expect, it } from 'vitest';
import { exceededBound, type RefundBounds } from './refund-bounds.ts';

const UNIT = 1_000_000_000n;
const bounds: RefundBounds = { perRefund: 100, perRenterADay: 150, perDay: 400, units: { JPY: 150 } };
const NOTHING = { renterE9s: 0n, everyoneE9s: 0n };
const usd = (amountE9s: bigint) => ({ amountE9s, currency: 'USD' });

it('a refund may leave up to the bounds, and not a nano-unit beyond', () => {
  expect(exceededBound(bounds, usd(100n * UNIT), NOTHING)).toBeNull();
  expect(exceededBound(bounds, usd(100n * UNIT + 1n), NOTHING)).toBe('per_refund');
  const today = { renterE9s: 50n * UNIT, everyoneE9s: 300n * UNIT };
  expect(exceededBound(bounds, usd(100n * UNIT), today)).toBeNull();
  expect(exceededBound(bounds, usd(UNIT), { ...today, renterE9s: 149n * UNIT + 1n })).toBe(
    'per_renter_a_day',
  );
  expect(exceededBound(bounds, usd(UNIT), { ...today, everyoneE9s: 399n * UNIT + 1n })).toBe('per_day');
});

it('a currency of smaller units has bounds of as many more', () => {
  expect(exceededBound(bounds, { amountE9s: 15_000n * UNIT, currency: 'JPY' }, NOTHING)).toBeNull();
  expect(exceededBound(bounds, { amountE9s: 15_001n * UNIT, currency: 'JPY' }, NOTHING)).toBe('per_refund');
});

it('whatever order refunds come in, what leaves by itself stays within every bound', () => {
  const refund = fc.record({
    renter: fc.constantFrom('a', 'b', 'c'),
    amountE9s: fc.bigInt({ min: 1n, max: 130n * UNIT }),
  });
  fc.assert(
    fc.property(fc.array(refund, { maxLength: 40 }), (refunds) => {
      const left = new Map<string, bigint>();
      let everyoneE9s = 0n;
      for (const { renter, amountE9s } of refunds) {
        const today = { renterE9s: left.get(renter) ?? 0n, everyoneE9s };
        if (exceededBound(bounds, usd(amountE9s), today) !== null) continue;
        expect(amountE9s).toBeLessThanOrEqual(100n * UNIT);
        left.set(renter, today.renterE9s + amountE9s);
        everyoneE9s += amountE9s;
      }
      for (const sum of left.values()) expect(sum).toBeLessThanOrEqual(150n * UNIT);
      expect(everyoneE9s).toBeLessThanOrEqual(400n * UNIT);
    }),
  );
});
