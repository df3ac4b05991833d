/** The SQL of payments that are made elsewhere, and of what providers told us. Decisions are in payment-rules.ts. */
import { sql, type Selectable } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { PaymentRefundsTable, PaymentsTable, ProviderEventsTable } from '../database/tables-payments.ts';
import type { PaymentFact, PaymentRefs } from './payment-provider.ts';
import type { PaymentRowState } from './payment-rules.ts';

/** A payment as it is kept, with its state typed. */
export type PaymentRow = Omit<Selectable<PaymentsTable>, 'state'> & { state: PaymentRowState };

export type PaymentChange = Partial<
  Pick<
    PaymentRow,
    | 'state'
    | 'tax_e9s'
    | 'external_id'
    | 'payment_ref'
    | 'charge_ref'
    | 'checkout_url'
    | 'reason'
    | 'look_at'
    | 'looks'
    | 'arrived_at'
    | 'settled_at'
  >
>;

/** Adds a payment unless its key is there. */
export async function insertPayment(trx: Transaction, row: PaymentRow): Promise<void> {
  await trx
    .insertInto('payments')
    .values(row)
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute();
}

export async function findPayment(reader: Reader, key: string): Promise<PaymentRow | null> {
  const { rows } = await statement<PaymentRow>`select * from payments where key = ${key}`.execute(reader);
  return rows[0] ?? null;
}

/** The payment that a fact is about: by its names at the provider, or by the key that we gave it there. */
export async function findPaymentByRefs(
  reader: Reader,
  method: string,
  refs: PaymentFact['refs'],
): Promise<PaymentRow | null> {
  const names = [
    ['external_id', refs.externalId],
    ['payment_ref', refs.paymentRef],
    ['charge_ref', refs.chargeRef],
    ['key', refs.key],
  ] as const;
  for (const [column, value] of names) {
    if (value === null) continue;
    const row = await reader
      .selectFrom('payments')
      .selectAll()
      .where('method', '=', method)
      .where(column, '=', value)
      .executeTakeFirst();
    if (row !== undefined) return row as PaymentRow;
  }
  return null;
}

/** The payments of a contract, its extensions' too, oldest first. */
export async function listPayments(reader: Reader, contractId: string): Promise<PaymentRow[]> {
  const { rows } = await statement<PaymentRow>`
    select * from payments where contract_id = ${contractId} order by created_at, key`.execute(reader);
  return rows;
}

/** The payments whose truth is to be asked for, the longest due first. */
export async function listDuePayments(reader: Reader, now: number, limit: number): Promise<PaymentRow[]> {
  const rows = await reader
    .selectFrom('payments')
    .selectAll()
    .where('look_at', '<=', now)
    .orderBy('look_at')
    .limit(limit)
    .execute();
  return rows as PaymentRow[];
}

/** Has the provider asked again about every payment whose contract still has something to come. */
export async function askAboutAll(trx: Transaction, now: number): Promise<void> {
  await sql`
    update payments set look_at = ${now} where external_id is not null and contract_id in (
      select id from contracts where state not in ('rejected', 'cancelled', 'failed', 'expired')
      union select contract_id from refunds where confirmed_at is null)`.execute(trx);
}

/** Changes a payment that is still in `row.state`; false where it moved on since. */
export async function updatePayment(
  trx: Transaction,
  row: PaymentRow,
  change: PaymentChange,
): Promise<boolean> {
  const result = await trx
    .updateTable('payments')
    .set(change)
    .where('key', '=', row.key)
    .where('state', '=', row.state)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** The names of a payment. */
export function refsOf(row: PaymentRow): PaymentRefs {
  return {
    key: row.key,
    externalId: row.external_id,
    paymentRef: row.payment_ref,
    chargeRef: row.charge_ref,
  };
}

/** Keeps an event; false where it is known. */
export async function insertEvent(trx: Transaction, row: Selectable<ProviderEventsTable>): Promise<boolean> {
  const result = await trx
    .insertInto('provider_events')
    .values(row)
    .onConflict((conflict) => conflict.columns(['method', 'event_id']).doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** Says what became of an event. */
export async function settleEvent(
  trx: Transaction,
  event: Pick<ProviderEventsTable, 'method' | 'event_id'>,
  change: Partial<Pick<ProviderEventsTable, 'outcome' | 'payment_key' | 'settled_at' | 'detail' | 'body'>>,
): Promise<void> {
  await trx
    .updateTable('provider_events')
    .set(change)
    .where('method', '=', event.method)
    .where('event_id', '=', event.event_id)
    .execute();
}

/** Events that came before we knew what they are about, oldest first. `refs` are names of one payment. */
export function listOrphans(
  reader: Reader,
  method: string,
  refs: readonly string[],
): Promise<Selectable<ProviderEventsTable>[]> {
  return (
    reader
      .selectFrom('provider_events')
      .selectAll()
      .where('method', '=', method)
      .where('object_ref', 'in', refs)
      // As it stands in the partial index: of a parameter, SQLite cannot know that it is that word.
      .where('outcome', '=', sql.lit('unknown'))
      .where('settled_at', 'is', null)
      .orderBy('received_at')
      .execute()
  );
}

/** What was, or is to be, given back of a payment. */
export type PaymentRefundRow = Omit<Selectable<PaymentRefundsTable>, 'state'> & {
  state: 'planned' | 'pending' | 'succeeded' | 'failed';
};

/** What was, or is to be, given back of all payments of a contract. */
export async function listRefundsOfContract(reader: Reader, contractId: string): Promise<PaymentRefundRow[]> {
  const rows = await reader
    .selectFrom('payment_refunds as r')
    .innerJoin('payments as p', 'p.key', 'r.payment_key')
    .selectAll('r')
    .where('p.contract_id', '=', contractId)
    .execute();
  return rows as PaymentRefundRow[];
}

/** Whether a dispute about a payment of the contract is open. */
export async function isDisputed(reader: Reader, contractId: string): Promise<boolean> {
  const open = await reader
    .selectFrom('disputes')
    .select('id')
    .where('contract_id', '=', contractId)
    .where('closed_at', 'is', null)
    .executeTakeFirst();
  return open !== undefined;
}

/** The id of a refund that we made under `refundKey` in a time that this database does not know. */
export const lostRefundId = (refundKey: string): string => `lost:${refundKey}`;

export async function listPaymentRefunds(
  reader: Reader,
  filter: { payment_key: string } | { refund_key: string },
): Promise<PaymentRefundRow[]> {
  const [column, value] = Object.entries(filter)[0] as ['payment_key' | 'refund_key', string];
  const rows = await reader
    .selectFrom('payment_refunds')
    .selectAll()
    .where(column, '=', value)
    .orderBy('id')
    .execute();
  return rows as PaymentRefundRow[];
}
