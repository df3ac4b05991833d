/** What was used of a contract, what it costs, and what it will: for its parties. */
import { toWire } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireUsage, WireUsageCharge } from '@dc/shared/wire/usage';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Reader } from '../database/database.ts';
import { findPauses } from '../payments/earning-store.ts';
import {
  billableTimes,
  billPeriod,
  measureUse,
  periodsOf,
  projectUse,
  type Interval,
  type UsageTerms,
} from './usage-rules.ts';
import {
  findMeter,
  listFacts,
  listUsageCharges,
  summarizeEvents,
  type ChargeRow,
  type MeterRow,
} from './usage-store.ts';

/** The terms of a meter. */
export const termsOf = (meter: MeterRow): UsageTerms => ({
  unit: meter.billing_unit,
  unitPriceE9s: meter.unit_price_e9s,
  includedUnits: meter.included_units,
  capE9s: meter.cap_e9s,
});

/** Where the price is flat, use is shown in hours and costs nothing. */
const FLAT: UsageTerms = { unit: 'hour', unitPriceE9s: 0n, includedUnits: 0, capE9s: 0n };

/** The usage of a contract at `now`. */
export async function viewUsage(reader: Reader, contract: ContractRow, now: number): Promise<WireUsage> {
  const { currency } = contract;
  const money = (amountE9s: bigint) => toWire({ amountE9s, currency });
  const meter = await findMeter(reader, contract.id);
  const terms = meter === null ? FLAT : termsOf(meter);
  const events = await summarizeEvents(reader, contract.id);
  const charges = await listUsageCharges(reader, contract.id);
  return {
    contract_id: contract.id,
    pricing_model: meter === null ? 'flat' : 'usage',
    billing_unit: terms.unit,
    price_per_unit: money(terms.unitPriceE9s),
    included_units: terms.includedUnits,
    cap: money(terms.capE9s),
    events: events.count,
    last_event_at: events.lastAt === null ? null : toTimestamp(events.lastAt),
    period: await viewPeriod(reader, contract, { terms, through: events.seq, now }),
    charges: charges.map(viewCharge),
    unpaid: money(
      charges.reduce((sum, charge) => (charge.paid_at === null ? sum + charge.amount_e9s : sum), 0n),
    ),
  };
}

/** Whether more use costs nothing in the period that runs at `now`: at once where the price is flat. */
export async function isCapReached(reader: Reader, contractId: string, now: number): Promise<boolean> {
  const meter = await findMeter(reader, contractId);
  const contract = meter === null ? null : await findContract(reader, contractId);
  if (meter === null || contract === null) return false;
  const period = await viewPeriod(reader, contract, {
    ...{ terms: termsOf(meter), through: Number.MAX_SAFE_INTEGER, now },
  });
  return period?.cap_reached ?? false;
}

async function viewPeriod(
  reader: Reader,
  contract: ContractRow,
  { terms, through, now }: { terms: UsageTerms; through: number; now: number },
): Promise<WireUsage['period']> {
  const rental = rentalOf(contract);
  if (rental === null) return null;
  const { fromAt } = rental;
  const toAt = Number.isFinite(rental.toAt) ? rental.toAt : Math.max(contract.ends_at ?? now, now + 1);
  const [period] = periodsOf({ fromAt, toAt }, Math.min(now, toAt - 1));
  if (period === undefined) return null;
  const facts = await listFacts(reader, contract.id, { period, through });
  const pauses = await findPauses(reader, contract.id, now);
  const used = measureUse(facts, billableTimes({ fromAt, toAt }, pauses), period);
  const bill = billPeriod(terms, used, period);
  const projected = billPeriod(terms, projectUse(used, period, now), period);
  const money = (amountE9s: bigint) => toWire({ amountE9s, currency: contract.currency });
  return {
    from: toTimestamp(period.fromAt),
    to: toTimestamp(period.toAt),
    used_ms: used.usedMs,
    counted_units_e9s: String(used.countedE9s),
    used_units_e9s: String(bill.usedE9s),
    included_units_e9s: String(bill.includedE9s),
    overage_units_e9s: String(bill.overageE9s),
    charge_so_far: money(bill.amountE9s),
    estimated_charge: money(projected.amountE9s),
    cap_reached: bill.isCapped,
  };
}

/** One charge. */
export function viewCharge(row: ChargeRow): WireUsageCharge {
  return {
    id: row.id,
    from: toTimestamp(row.from_at),
    to: toTimestamp(row.to_at),
    overage_units_e9s: String(row.overage_e9s),
    amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
    status: row.paid_at === null ? 'unpaid' : 'paid',
    created_at: toTimestamp(row.created_at),
    paid_at: row.paid_at === null ? null : toTimestamp(row.paid_at),
  };
}

/** The time that the renter paid rent for, until it has ended without an end; null before it began. */
export function rentalOf(contract: Pick<ContractRow, 'active_at' | 'ended_at' | 'ends_at'>): Interval | null {
  const { active_at: fromAt, ended_at: endedAt, ends_at: endsAt } = contract;
  if (fromAt === null) return null;
  return { fromAt, toAt: endedAt === null ? Infinity : Math.min(endedAt, endsAt ?? endedAt) };
}
