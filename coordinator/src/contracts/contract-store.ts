/** The SQL of contracts and their history. Decisions are in contract-service.ts and contract-rules.ts. */
import type { Selectable } from 'kysely';
import { AppError } from '@dc/shared/errors';
import type { ContractEvent, ContractState, PaymentState, ReleaseState } from '@dc/shared/state/contract';
import type { CredentialKind } from '@dc/shared/wire/contract';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { ContractHistoryTable, ContractsTable } from '../database/tables-spine.ts';

/** A contract as it is kept, with its states typed. */
export type ContractRow = Omit<Selectable<ContractsTable>, 'state' | 'release' | 'payment_state'> & {
  state: ContractState;
  release: ReleaseState;
  payment_state: PaymentState;
};

export type HistoryRow = Selectable<ContractHistoryTable>;

/** The columns that a change may set; the keys, the money and the version are not among them (see extend-contract.ts). */
export type ContractChange = Partial<
  Omit<
    ContractRow,
    'id' | 'version' | 'total_e9s' | 'setup_fee_e9s' | 'currency' | 'renter_pubkey' | 'provider_pubkey'
  >
>;

/** The contract, or null. */
export async function findContract(reader: Reader, id: string): Promise<ContractRow | null> {
  const { rows } = await statement<ContractRow>`select * from contracts where id = ${id}`.execute(reader);
  return rows[0] ?? null;
}

/** Its history, oldest first. */
export async function listHistory(reader: Reader, contractId: string): Promise<HistoryRow[]> {
  const { rows } = await statement<HistoryRow>`
    select * from contract_history where contract_id = ${contractId} order by version`.execute(reader);
  return rows;
}

/** Adds a new contract. */
export async function insertContract(trx: Transaction, row: ContractRow): Promise<void> {
  await trx.insertInto('contracts').values(row).execute();
}

/**
 * Changes a contract that is still as `before` says (version and state), and returns it as it is then. Throws
 * CONTRACT_STATE where somebody else was faster; the caller's transaction is then rolled back.
 */
export async function updateContract(
  trx: Transaction,
  before: ContractRow,
  change: ContractChange & Partial<Pick<ContractRow, 'total_e9s'>>,
): Promise<ContractRow> {
  const version = before.version + 1;
  const result = await trx
    .updateTable('contracts')
    .set({ ...change, version })
    .where('id', '=', before.id)
    .where('version', '=', before.version)
    .where('state', '=', before.state)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n)
    throw new AppError('CONTRACT_STATE', 'The contract changed in the meantime.');
  return { ...before, ...change, version };
}

/** What a history row says beside the states. */
export interface HistoryNote {
  event: ContractEvent | CredentialKind | 'create';
  actor: string;
  reason: string;
}

/** Adds the history row of a state change. `after` is the contract as `updateContract` returned it. */
export async function insertHistory(
  trx: Transaction,
  after: ContractRow,
  { from, event, actor, reason, at }: HistoryNote & { from: ContractState | null; at: number },
): Promise<void> {
  await statement`
    insert into contract_history (contract_id, version, from_state, to_state, event, actor, reason, at)
    values (${after.id}, ${after.version}, ${from}, ${after.state}, ${event}, ${actor}, ${reason}, ${at})`.execute(
    trx,
  );
}
