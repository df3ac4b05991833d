import { describe, expect, it } from 'vitest';
import type { WireUsage } from '@dc/shared/wire/usage';
import { renderUsage, renderUsageCap, unitsText, usagePriceText } from './usage-parts.ts';

const usd = (amount: bigint) => ({ amount_e9s: String(amount), currency: 'USD' });
const PRICED = { billing_unit: 'hour' as const, price_per_unit: usd(20_000_000n), included_units: 10 };
const USAGE: WireUsage = {
  ...{ contract_id: '01993b5e-0000-7000-8000-000000000001', pricing_model: 'usage', billing_unit: 'hour' },
  ...{ price_per_unit: usd(20_000_000n), included_units: 10, cap: usd(5_000_000_000n), events: 3 },
  last_event_at: '2026-11-20T12:00:00.000Z',
  period: {
    ...{ from: '2026-11-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z', used_ms: 43_200_000 },
    ...{ counted_units_e9s: '580000000', used_units_e9s: '12580000000', included_units_e9s: '10000000000' },
    ...{ overage_units_e9s: '2580000000', charge_so_far: usd(51_600_000n) },
    ...{ estimated_charge: usd(103_200_000n), cap_reached: false },
  },
  charges: [],
  unpaid: usd(0n),
};
const textOf = (usage: WireUsage | null): string =>
  String(renderUsage(usage) ?? '')
    .replaceAll(/<[^>]*>|\s+/g, ' ')
    .replaceAll(/ +/g, ' ');

describe('the price of use', () => {
  it('is said in words, where there is one', () => {
    expect(usagePriceText(PRICED)).toBe('0.02 USD for each hour of use beyond 10 in 30 days');
    expect(usagePriceText({ ...PRICED, included_units: 0 })).toBe('0.02 USD for each hour of use');
    expect(usagePriceText({})).toBeNull();
  });

  it('is accepted with a cap, in the currency of the offering', () => {
    const text = String(renderUsageCap(PRICED));
    expect(text).toContain('At most, in 30 days (USD)');
    expect(text).toContain('value="0.20"');
    expect(renderUsageCap({})).toBeNull();
  });
});

describe('the use of a contract', () => {
  it('is shown with what it costs, so far and if it goes on', () => {
    const text = textOf(USAGE);
    expect(text).toContain('12.58 hours');
    expect(text).toContain('0.0516 USD');
    expect(text).toContain('0.1032 USD , and never more than 5.00 USD'.replace(' ,', ','));
    expect(text).not.toContain('unpaid');
  });

  it('says what is unpaid, what was charged, and that the cap is reached', () => {
    const charge = {
      ...{ id: USAGE.contract_id, from: '2026-10-01T00:00:00.000Z', to: '2026-11-01T00:00:00.000Z' },
      ...{ overage_units_e9s: '1000000000', amount: usd(20_000_000n), status: 'unpaid' as const },
      ...{ created_at: '2026-11-01T01:00:00.000Z', paid_at: null },
    };
    const period = { ...(USAGE.period as NonNullable<WireUsage['period']>), cap_reached: true };
    const text = textOf({ ...USAGE, period, charges: [charge], unpaid: usd(20_000_000n) });
    expect(text).toContain('0.02 USD is unpaid.');
    expect(text).toContain('for 1 hour beyond the rent');
    expect(text).toContain('more use costs nothing until');
  });

  it('is not shown where it costs nothing and nobody told of any', () => {
    expect(renderUsage({ ...USAGE, pricing_model: 'flat', events: 0 })).toBeNull();
    expect(renderUsage(null)).toBeNull();
    expect(textOf({ ...USAGE, pricing_model: 'flat' })).not.toContain('Beyond the rent');
    expect(textOf({ ...USAGE, period: null })).toContain('from the first login on');
  });

  it.each([
    ['0', '0 hours'],
    ['1000000000', '1 hour'],
    ['1005000000', '1 hour'],
    ['2500000000', '2.5 hours'],
    ['10000000000', '10 hours'],
    ['100000000000', '100 hours'],
  ])('says %s nano-units as %s', (units, text) => {
    expect(unitsText(units, 'hour')).toBe(text);
  });
});
