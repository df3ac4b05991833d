/** Offerings on the wire, and the cursor of their list. */
import { AppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import type { WireOffering } from '@dc/shared/wire/offering';
import type { BillingUnit } from '@dc/shared/wire/usage';
import { moneyFromColumns } from '../database/columns.ts';
import type { ListedOffering, OfferingFilter } from './offering-store.ts';

export function viewOffering(row: ListedOffering): WireOffering {
  return {
    id: row.id,
    title: row.title,
    description: row.description,
    provider: { pubkey: row.provider_pubkey, name: row.provider_name },
    cpu: row.cpu,
    memory_mb: row.memory_mb,
    disk_gb: row.disk_gb,
    country: row.country,
    operating_systems: JSON.parse(row.operating_systems) as string[],
    price_per_hour: toWire(moneyFromColumns(row.price_per_hour_e9s, row.currency)),
    setup_fee: toWire(moneyFromColumns(row.setup_fee_e9s, row.currency)),
    min_hours: row.min_hours,
    max_hours: row.max_hours,
    ...viewUsagePrice(row),
    in_stock: row.stock === 'available',
    ...(row.stock === 'available' ? {} : { out_of_stock: row.stock }),
  };
}

function viewUsagePrice(row: ListedOffering) {
  if (row.billing_unit === null) return { pricing_model: 'flat' as const };
  return {
    pricing_model: 'usage' as const,
    billing_unit: row.billing_unit as BillingUnit,
    price_per_unit: toWire(moneyFromColumns(row.unit_price_e9s ?? 0n, row.currency)),
    included_units: row.included_units ?? 0,
  };
}

/** Where the next page begins: after this offering. */
export function toCursor(row: ListedOffering): string {
  return Buffer.from(`${String(row.price_per_hour_e9s)} ${row.id}`).toString('base64url');
}

/** Reads a cursor. Throws REQUEST_INVALID for what `toCursor` did not make. */
export function fromCursor(cursor: string): NonNullable<OfferingFilter['after']> {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const [, price, id] = /^(\d{1,18}) ([0-9a-f-]{36})$/.exec(text) ?? [];
  if (price === undefined || id === undefined)
    throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list.', {
      fields: [{ pointer: '/query/cursor', detail: 'must be the next_cursor of the page before' }],
    });
  return { priceE9s: BigInt(price), id };
}
