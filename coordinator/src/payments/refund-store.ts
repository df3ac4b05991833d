/** The SQL of refunds. */
import { sql } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import type { RefundsTable } from '../database/tables-refunds.ts';

/** What was decided to be paid back for a contract, confirmed or on its way. */
export async function refundedE9s(reader: Reader, contractId: string): Promise<bigint> {
  const row = await reader
    .selectFrom('refunds')
    .select(sql<bigint | null>`sum(amount_e9s)`.as('sum_e9s'))
    .where('contract_id', '=', contractId)
    .executeTakeFirst();
  return row?.sum_e9s ?? 0n;
}

/** Adds a refund unless its key is there; false in that case. */
export async function insertRefund(trx: Transaction, refund: RefundsTable): Promise<boolean> {
  const result = await trx
    .insertInto('refunds')
    .values(refund)
    .onConflict((conflict) => conflict.column('key').doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

export async function findRefund(reader: Reader, key: string): Promise<RefundsTable | null> {
  return (await reader.selectFrom('refunds').selectAll().where('key', '=', key).executeTakeFirst()) ?? null;
}

/** Marks a refund as confirmed; false where it was already. */
export async function confirmRefund(trx: Transaction, key: string, at: number): Promise<boolean> {
  const result = await trx
    .updateTable('refunds')
    .set({ confirmed_at: at })
    .where('key', '=', key)
    .where('confirmed_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}
