/** What a provider may offer. Pure. */
import { AppError, type FieldProblem } from '@dc/shared/errors';
import { add, fromWire, multiplyRatio, type Money } from '@dc/shared/money/money';
import type { WireCreateOffering } from '@dc/shared/wire/offering';
import type { BillingUnit } from '@dc/shared/wire/usage';

/** The prices of a new offering. */
export interface Prices {
  perHour: Money;
  setupFee: Money;
  /** Null where the rent is all. */
  usage: UsagePrice | null;
}

/** What use beyond the rent costs. */
export interface UsagePrice {
  unit: BillingUnit;
  perUnit: Money;
  includedUnits: number;
}

/**
 * Checks what the schema cannot say, and reads the prices. Throws REQUEST_INVALID, and MONEY_RANGE where the longest
 * rental would cost more than an amount can be.
 */
export function checkOffering(wanted: WireCreateOffering, poolCountry: string): Prices {
  const perHour = fromWire(wanted.price_per_hour);
  const setupFee = fromWire(wanted.setup_fee);
  const fields: FieldProblem[] = [];
  if (wanted.max_hours < wanted.min_hours)
    fields.push({ pointer: '/max_hours', detail: 'must not be less than min_hours' });
  if (perHour.amountE9s < 0n)
    fields.push({ pointer: '/price_per_hour/amount_e9s', detail: 'must not be negative' });
  if (setupFee.amountE9s < 0n)
    fields.push({ pointer: '/setup_fee/amount_e9s', detail: 'must not be negative' });
  if (perHour.currency !== setupFee.currency)
    fields.push({ pointer: '/setup_fee/currency', detail: 'must be the currency of price_per_hour' });
  if (wanted.country !== poolCountry)
    fields.push({ pointer: '/country', detail: `must be the country of the pool, ${poolCountry}` });
  const usage = checkUsage(wanted, perHour.currency, fields);
  if (fields.length > 0)
    throw new AppError('REQUEST_INVALID', 'The offering contradicts itself.', { fields });
  add(multiplyRatio(perHour, BigInt(wanted.max_hours), 1n, 'ceil'), setupFee);
  return { perHour, setupFee, usage };
}

const USAGE_FIELDS = ['billing_unit', 'price_per_unit', 'included_units'] as const;

/** Reads what use costs, and adds what is wrong with it to `fields`. */
function checkUsage(wanted: WireCreateOffering, currency: string, fields: FieldProblem[]): UsagePrice | null {
  const { pricing_model: model = 'flat', billing_unit: unit = 'hour', price_per_unit: price } = wanted;
  if (model === 'flat') {
    for (const name of USAGE_FIELDS)
      if (wanted[name] !== undefined)
        fields.push({ pointer: `/${name}`, detail: 'belongs to the pricing_model "usage"' });
    return null;
  }
  if (price === undefined) {
    fields.push({ pointer: '/price_per_unit', detail: 'is needed with the pricing_model "usage"' });
    return null;
  }
  const perUnit = fromWire(price);
  if (perUnit.amountE9s < 0n)
    fields.push({ pointer: '/price_per_unit/amount_e9s', detail: 'must not be negative' });
  if (perUnit.currency !== currency)
    fields.push({ pointer: '/price_per_unit/currency', detail: 'must be the currency of price_per_hour' });
  return { unit, perUnit, includedUnits: wanted.included_units ?? 0 };
}
