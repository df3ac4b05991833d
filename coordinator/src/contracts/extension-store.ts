/** The SQL of extensions. Decisions are in extend-contract.ts. */
import type { Selectable } from 'kysely';
import type { ExtensionState } from '@dc/shared/state/contract';
import type { Reader, Transaction } from '../database/database.ts';
import type { ExtensionsTable } from '../database/tables-spine.ts';

/** An extension as it is kept, with its state typed. */
export type ExtensionRow = Omit<Selectable<ExtensionsTable>, 'state'> & { state: ExtensionState };

export async function insertExtension(trx: Transaction, row: ExtensionRow): Promise<void> {
  await trx.insertInto('extensions').values(row).execute();
}

export async function findExtension(reader: Reader, id: string): Promise<ExtensionRow | null> {
  const row = await reader.selectFrom('extensions').selectAll().where('id', '=', id).executeTakeFirst();
  return (row as ExtensionRow | undefined) ?? null;
}

/** Those of a contract, oldest first (ids sort by time). */
export async function listExtensions(reader: Reader, contractId: string): Promise<ExtensionRow[]> {
  const rows = await reader
    .selectFrom('extensions')
    .selectAll()
    .where('contract_id', '=', contractId)
    .orderBy('id')
    .execute();
  return rows as ExtensionRow[];
}

/** Says what became of its payment. */
export async function settleExtension(
  trx: Transaction,
  id: string,
  settled: { state: ExtensionState; at: number },
): Promise<void> {
  await trx
    .updateTable('extensions')
    .set({ state: settled.state, settled_at: settled.at })
    .where('id', '=', id)
    .execute();
}
