/**
 * Charges for use beyond the rent: closes billing periods that are over, makes a charge of what each costs, and takes
 * it from the renter's wallet as soon as it is there. Periodic jobs, one transaction a contract: a crash between two
 * loses nothing, and of two processes one is too late, since a charge is unique.
 */
import { createHash } from 'node:crypto';
import { formatMoney } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Transaction } from '../database/database.ts';
import { bookUsage } from '../payments/book-usage.ts';
import { findPauses } from '../payments/earning-store.ts';
import { CLOSE_AFTER_MS } from './usage-meter.ts';
import {
  billableTimes,
  billPeriod,
  HEARTBEAT_GAP_MS,
  measureUse,
  PERIOD_MS,
  periodsOf,
  type Interval,
} from './usage-rules.ts';
import {
  findCharge,
  findEarliestSince,
  findMeter,
  insertCharge,
  listDueMeters,
  listFacts,
  listPayable,
  listUsageCharges,
  markPaid,
  summarizeEvents,
  updateMeter,
  type ChargeRow,
  type MeterRow,
} from './usage-store.ts';
import { rentalOf, termsOf } from './usage-view.ts';

export const CHARGE_EVERY_MS = 60_000;
const BATCH = 50;

/** Told of each charge in the transaction that makes it. */
export type OnCharge = (trx: Transaction, charge: ChargeRow) => Promise<void>;

/** Makes the charges that are due, and takes what wallets hold. Stops between two contracts when aborted. */
export async function chargeUsage(context: Context, signal: AbortSignal, onCharge: OnCharge): Promise<void> {
  for (let found = BATCH; found === BATCH && !signal.aborted;) {
    const due = await listDueMeters(context.db.read, context.clock.now(), BATCH);
    found = due.length;
    for (const { contract_id: id } of due) {
      if (signal.aborted) return;
      await context.db.write((trx) => chargeContract(context, trx, id, onCharge));
    }
  }
  await collectUsage(context, signal);
}

/** Takes what is unpaid from the wallets that hold enough, the oldest first. */
export async function collectUsage(context: Context, signal: AbortSignal): Promise<void> {
  for (let found = BATCH; found === BATCH && !signal.aborted;) {
    const payable = await listPayable(context.db.read, BATCH);
    found = payable.length;
    let paid = 0;
    for (const { id } of payable)
      if (!signal.aborted && (await context.db.write((trx) => collect(context, trx, id)))) paid += 1;
    // Several charges of one wallet that holds enough for one of them are not looked at for ever.
    if (paid === 0) return;
  }
}

async function collect(context: Context, trx: Transaction, chargeId: string): Promise<boolean> {
  const charge = await findCharge(trx, chargeId);
  if (charge?.paid_at !== null) return false;
  const contract = await findContract(trx, charge.contract_id);
  if (contract === null) return false;
  const isPaid = await bookUsage(context, trx, {
    ...{ chargeId, contractId: contract.id, renterPubkey: charge.renter_pubkey },
    ...{ providerPubkey: contract.provider_pubkey, amountE9s: charge.amount_e9s, currency: charge.currency },
    ...{
      fromAt: charge.from_at,
      toAt: charge.to_at,
      text: describeCharge(charge, await findMeter(trx, contract.id)),
    },
  });
  if (isPaid) await markPaid(trx, chargeId, context.clock.now());
  return isPaid;
}

/** Charges one contract's periods that are over; says when to look again. Idempotent. */
async function chargeContract(
  context: Context,
  trx: Transaction,
  contractId: string,
  onCharge: OnCharge,
): Promise<void> {
  const now = context.clock.now();
  const meter = await findMeter(trx, contractId);
  const contract = await findContract(trx, contractId);
  if (meter?.due_at == null || meter.due_at > now || contract === null) return;
  const rental = rentalOf(contract);
  const closedUntilAt = meter.closed_until_at;
  if (rental === null || closedUntilAt === null) return updateMeter(trx, contractId, { due_at: null });
  // Periods end at known times, or with the contract. Past its term nothing is over before it has ended.
  const overAt = Math.min(rental.toAt, contract.ends_at ?? Infinity, now - CLOSE_AFTER_MS);
  const { seq } = await summarizeEvents(trx, contractId);
  const newAt = await findEarliestSince(trx, contractId, meter.billed_seq);
  const sinceAt = Math.min(closedUntilAt, (newAt ?? Infinity) - HEARTBEAT_GAP_MS);
  let closedTo = closedUntilAt;
  for (const period of periodsOf({ fromAt: rental.fromAt, toAt: overAt }, sinceAt)) {
    // One that is cut short by the present is not over.
    if (period.toAt < rental.toAt && period.toAt - period.fromAt < PERIOD_MS) break;
    await chargePeriod(context, trx, { contract, meter, period, through: seq }, onCharge);
    closedTo = Math.max(closedTo, period.toAt);
  }
  const isDone = closedTo >= rental.toAt;
  await updateMeter(trx, contractId, {
    closed_until_at: closedTo,
    billed_seq: seq,
    due_at: isDone ? null : Math.max(closedTo + PERIOD_MS, now) + CLOSE_AFTER_MS,
  });
}

interface PeriodToCharge {
  contract: ContractRow;
  meter: MeterRow;
  period: Interval;
  /** The newest event that counts. */
  through: number;
}

/** Makes a charge of what the period costs more than was charged for it before. */
async function chargePeriod(
  context: Context,
  trx: Transaction,
  { contract, meter, period, through }: PeriodToCharge,
  onCharge: OnCharge,
): Promise<void> {
  const now = context.clock.now();
  const facts = await listFacts(trx, contract.id, { period, through });
  const rental = rentalOf(contract) ?? period;
  const billable = billableTimes(rental, await findPauses(trx, contract.id, now));
  const used = measureUse(facts, billable, period);
  const bill = billPeriod(termsOf(meter), used, period);
  const before = (await listUsageCharges(trx, contract.id)).filter(
    ({ from_at: fromAt }) => fromAt === period.fromAt,
  );
  const chargedE9s = before.reduce((sum, charge) => sum + charge.amount_e9s, 0n);
  const amount = bill.amountE9s - chargedE9s;
  if (amount <= 0n) return;
  const charge: ChargeRow = {
    id: chargeId(contract.id, period, chargedE9s),
    contract_id: contract.id,
    renter_pubkey: contract.renter_pubkey,
    from_at: period.fromAt,
    to_at: period.toAt,
    events_through: through,
    used_ms: used.usedMs,
    counted_e9s: used.countedE9s,
    overage_e9s: bill.overageE9s - before.reduce((sum, { overage_e9s }) => sum + overage_e9s, 0n),
    amount_e9s: amount,
    currency: contract.currency,
    created_at: now,
    paid_at: null,
  };
  await insertCharge(trx, charge);
  await onCharge(trx, charge);
  await context.signals.emit(trx, 'contract', contract.id);
}

/** What an invoice says: the units exactly, and the period, so that anybody can compute it again from the events. */
function describeCharge(charge: ChargeRow, meter: MeterRow | null): string {
  const [units = ''] = formatMoney({ amountE9s: charge.overage_e9s, currency: 'UNITS' }).split(' ');
  const day = (at: number): string => toTimestamp(at).slice(0, 16).replace('T', ' ');
  const unit = meter === null ? 'units' : `${meter.billing_unit}s`;
  return `Use beyond the rent: ${units} ${unit}, ${day(charge.from_at)} to ${day(charge.to_at)} UTC`;
}

/**
 * The id of a charge, from what it is for and never from when: a coordinator whose database is of yesterday makes the
 * same one again, and whoever was told of it knows it. A UUIDv7 whose time is the end of the period.
 */
function chargeId(contractId: string, period: Interval, chargedE9s: bigint): string {
  const subject = `${contractId} ${String(period.fromAt)} ${String(chargedE9s)}`;
  const hash = createHash('sha256').update(`charge for use ${subject}`).digest('hex');
  const time = period.toAt.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hash.slice(0, 3)}-8${hash.slice(3, 6)}-${hash.slice(6, 18)}`;
}
