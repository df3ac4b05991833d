/** What a provider may offer. Pure. */
import { AppError, type FieldProblem } from '@dc/shared/errors';
import { add, fromWire, multiplyRatio, type Money } from '@dc/shared/money/money';
import type { WireCreateOffering } from '@dc/shared/wire/offering';

/** The prices of a new offering. */
export interface Prices {
  perHour: Money;
  setupFee: Money;
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
  if (fields.length > 0)
    throw new AppError('REQUEST_INVALID', 'The offering contradicts itself.', { fields });
  add(multiplyRatio(perHour, BigInt(wanted.max_hours), 1n, 'ceil'), setupFee);
  return { perHour, setupFee };
}
