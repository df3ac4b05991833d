/** The times at which the database was found to be behind, and what agents then said that they were ordered. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  `create table safe_modes (
     id text primary key not null, entered_at bigint not null,
     cause text not null check (cause in ('agent_ahead', 'mark_ahead', 'order_forged', 'admin')),
     detail text not null, agent_key text, proof text, known_until_at bigint not null, resolved_at bigint)`,
  `create index safe_modes_open on safe_modes (resolved_at) where resolved_at is null`,
  // The newest order that an agent holds for each contract, verbatim: we have signed it.
  `create table held_orders (
     agent_key text not null, contract_id text not null, kind text not null, epoch integer not null,
     compact text not null, told_at bigint not null, primary key (agent_key, contract_id))`,
  `create table held_orders_told (agent_key text primary key not null, told_at bigint not null)`,
  `create index held_orders_contract on held_orders (contract_id)`,
  // Records that came while nothing was acted upon.
  `create index records_held_back on records (agent_key, seq) where code = 'COORDINATOR_SAFE_MODE'`,
];

/** Makes the tables. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
