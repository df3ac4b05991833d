/** The SQL of usage: what offerings and contracts charge for it, its events, and its charges. */
import { sql, type Insertable, type Selectable } from 'kysely';
import type { BillingUnit } from '@dc/shared/wire/usage';
import type { Reader, Transaction } from '../database/database.ts';
import type {
  OfferingUsageTable,
  UsageChargesTable,
  UsageEventsTable,
  UsageMetersTable,
  UsageReportsTable,
} from '../database/tables-usage.ts';
import { HEARTBEAT_GAP_MS, SESSION_MS_MAX, type Interval, type UsageFact } from './usage-rules.ts';

export type OfferingUsageRow = Omit<OfferingUsageTable, 'billing_unit'> & { billing_unit: BillingUnit };
export type MeterRow = Omit<UsageMetersTable, 'billing_unit'> & { billing_unit: BillingUnit };
export type EventRow = Selectable<UsageEventsTable>;
export type ChargeRow = Selectable<UsageChargesTable>;

/** How an offering charges for use; null where its price is flat. */
export async function findOfferingUsage(
  reader: Reader,
  offeringId: string,
): Promise<OfferingUsageRow | null> {
  const query = reader.selectFrom('offering_usage').selectAll().where('offering_id', '=', offeringId);
  return ((await query.executeTakeFirst()) as OfferingUsageRow | undefined) ?? null;
}

export async function insertOfferingUsage(trx: Transaction, row: OfferingUsageRow): Promise<void> {
  await trx.insertInto('offering_usage').values(row).execute();
}

/** How a contract charges for use; null where its price is flat. */
export async function findMeter(reader: Reader, contractId: string): Promise<MeterRow | null> {
  const query = reader.selectFrom('usage_meters').selectAll().where('contract_id', '=', contractId);
  return ((await query.executeTakeFirst()) as MeterRow | undefined) ?? null;
}

export async function insertMeter(trx: Transaction, row: MeterRow): Promise<void> {
  await trx.insertInto('usage_meters').values(row).execute();
}

/** Writes down how far it is charged, and when to look again. */
export async function updateMeter(
  trx: Transaction,
  contractId: string,
  change: Partial<Pick<MeterRow, 'closed_until_at' | 'billed_seq' | 'due_at'>>,
): Promise<void> {
  await trx.updateTable('usage_meters').set(change).where('contract_id', '=', contractId).execute();
}

/** Those to look at by `now`, the longest due first. */
export async function listDueMeters(reader: Reader, now: number, limit: number): Promise<MeterRow[]> {
  const query = reader
    .selectFrom('usage_meters')
    .selectAll()
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .limit(limit);
  return (await query.execute()) as MeterRow[];
}

/** Adds an event; false where this contract has one of that id. */
export async function insertEvent(trx: Transaction, row: Insertable<UsageEventsTable>): Promise<boolean> {
  const result = await trx
    .insertInto('usage_events')
    .values(row)
    .onConflict((conflict) => conflict.columns(['contract_id', 'id']).doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

export async function findEvent(reader: Reader, contractId: string, id: string): Promise<EventRow | null> {
  const query = reader
    .selectFrom('usage_events')
    .selectAll()
    .where('contract_id', '=', contractId)
    .where('id', '=', id);
  return (await query.executeTakeFirst()) ?? null;
}

/** What can matter to a period, up to the event `through`. */
export async function listFacts(
  reader: Reader,
  contractId: string,
  { period, through }: { period: Interval; through: number },
): Promise<UsageFact[]> {
  const { rows } = await sql<{ kind: string; at: number; ended_at: number | null; units_e9s: bigint | null }>`
    select kind, at, ended_at, units_e9s from usage_events
      where contract_id = ${contractId} and at >= ${period.fromAt - SESSION_MS_MAX}
        and at <= ${period.toAt + HEARTBEAT_GAP_MS} and seq <= ${through}`.execute(reader);
  return rows.map(({ kind, at, ended_at: endedAt, units_e9s: unitsE9s }) => ({
    kind,
    at,
    endedAt,
    unitsE9s,
  }));
}

/** How many events there are, the newest by number and by time. */
export async function summarizeEvents(
  reader: Reader,
  contractId: string,
): Promise<{ count: number; seq: number; lastAt: number | null }> {
  const row = await reader
    .selectFrom('usage_events')
    .select(({ fn }) => [
      fn.countAll<number>().as('count'),
      fn.coalesce(fn.max('seq'), sql<number>`0`).as('seq'),
      sql<number | null>`max(coalesce(ended_at, at))`.as('last_at'),
    ])
    .where('contract_id', '=', contractId)
    .executeTakeFirstOrThrow();
  return { count: row.count, seq: row.seq, lastAt: row.last_at };
}

/** The earliest time that events newer than `afterSeq` are about; null where there are none. */
export async function findEarliestSince(
  reader: Reader,
  contractId: string,
  afterSeq: number,
): Promise<number | null> {
  const row = await reader
    .selectFrom('usage_events')
    .select(({ fn }) => fn.min('at').as('at'))
    .where('contract_id', '=', contractId)
    .where('seq', '>', afterSeq)
    .executeTakeFirst();
  return row?.at ?? null;
}

export async function insertCharge(trx: Transaction, row: ChargeRow): Promise<void> {
  await trx.insertInto('usage_charges').values(row).execute();
}

/** What a contract's periods cost beyond the rent, in order; paid or not. For invoices as well. */
export async function listUsageCharges(reader: Reader, contractId: string): Promise<ChargeRow[]> {
  return reader
    .selectFrom('usage_charges')
    .selectAll()
    .where('contract_id', '=', contractId)
    .orderBy('from_at')
    .orderBy('events_through')
    .execute();
}

export async function findCharge(reader: Reader, id: string): Promise<ChargeRow | null> {
  const query = reader.selectFrom('usage_charges').selectAll().where('id', '=', id);
  return (await query.executeTakeFirst()) ?? null;
}

/** Charges whose payer's wallet holds enough for them, the oldest first. */
export async function listPayable(reader: Reader, limit: number): Promise<ChargeRow[]> {
  return reader
    .selectFrom('usage_charges as c')
    .selectAll()
    .where('c.paid_at', 'is', null)
    .where(
      sql<boolean>`c.amount_e9s <= (select coalesce(sum(p.amount_e9s), 0) from ledger_postings p
        where p.account = 'renter_wallet:' || c.renter_pubkey and p.currency = c.currency)`,
    )
    .orderBy('c.created_at')
    .orderBy('c.id')
    .limit(limit)
    .execute();
}

export async function markPaid(trx: Transaction, id: string, at: number): Promise<void> {
  await trx.updateTable('usage_charges').set({ paid_at: at }).where('id', '=', id).execute();
}

/** When the oldest charge was made that this renter has not paid; null where all are paid. */
export async function findOldestUnpaid(reader: Reader, renter: string): Promise<number | null> {
  const row = await reader
    .selectFrom('usage_charges')
    .select(({ fn }) => fn.min('created_at').as('at'))
    .where('renter_pubkey', '=', renter)
    .where('paid_at', 'is', null)
    .executeTakeFirst();
  return row?.at ?? null;
}

export type ReportRow = UsageReportsTable;

export async function findReport(reader: Reader, chargeId: string): Promise<ReportRow | null> {
  const query = reader.selectFrom('usage_reports').selectAll().where('charge_id', '=', chargeId);
  return (await query.executeTakeFirst()) ?? null;
}

export async function insertReport(trx: Transaction, row: ReportRow): Promise<void> {
  await trx.insertInto('usage_reports').values(row).execute();
}

export async function updateReport(
  trx: Transaction,
  chargeId: string,
  change: Partial<Pick<ReportRow, 'sent_at' | 'reported_at'>>,
): Promise<void> {
  await trx.updateTable('usage_reports').set(change).where('charge_id', '=', chargeId).execute();
}

/** The minutes at which reports of a customer are. */
export async function listReportMinutes(reader: Reader, customer: string): Promise<number[]> {
  const query = reader.selectFrom('usage_reports').select('event_at').where('customer_id', '=', customer);
  return (await query.execute()).map(({ event_at }) => event_at);
}

/** What a meter elsewhere calls an account; null where it does not know it. */
export async function findCustomer(reader: Reader, pubkey: string): Promise<string | null> {
  const query = reader
    .selectFrom('stripe_customers')
    .select('customer_id')
    .where('account_pubkey', '=', pubkey);
  return (await query.executeTakeFirst())?.customer_id ?? null;
}

/** Keeps it, unless another one is kept. */
export async function insertCustomer(trx: Transaction, pubkey: string, customer: string): Promise<void> {
  await trx
    .insertInto('stripe_customers')
    .values({ account_pubkey: pubkey, customer_id: customer })
    .onConflict((conflict) => conflict.column('account_pubkey').doNothing())
    .execute();
}
