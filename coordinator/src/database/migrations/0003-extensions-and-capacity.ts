/** Extensions of contracts, what agents handed back, and the capacity that they publish. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const SIZES = ['cpu', 'memory_mb', 'disk_gb', 'instances'] as const;
const liveSum = (size: (typeof SIZES)[number]): string =>
  `(select coalesce(sum(${size === 'instances' ? '1' : size}), 0) from contracts
     where contracts.pool_id = pools.id and place_held = 1)`;

const STATEMENTS: readonly string[] = [
  `create table extensions (
     id text primary key not null, contract_id text not null references contracts (id),
     hours integer not null check (hours > 0), price_e9s bigint not null check (price_e9s >= 0),
     state text not null check (state in ('pending', 'paid', 'failed', 'refunded')),
     created_at bigint not null, settled_at bigint)`,
  `create index extensions_contract on extensions (contract_id)`,
  `create table hand_backs (
     work_id text not null references work (id), agent_key text not null, at bigint not null, code text not null,
     detail text not null, primary key (work_id, agent_key))`,
  // One row for each agent that publishes capacity. Whole numbers: what is published is rounded down.
  `create table capacities (
     agent_key text primary key not null references agents (public_key),
     ${SIZES.map((size) => `free_${size} bigint not null, held_${size} bigint not null`).join(', ')})`,
  `alter table agents add column draining integer not null default 0 check (draining in (0, 1))`,
  `alter table agents add column maintenance_until_at bigint`,
  // What the live contracts of a pool take of its capacity, kept like places_taken.
  ...SIZES.map((size) => `alter table pools add column taken_${size} bigint not null default 0`),
  // Cheapest first, a page at a time: whether there is room is asked for those of the page only.
  `create index offerings_price on offerings (price_per_hour_e9s, id) where retired_at is null`,
  `create index contracts_agent on contracts (agent_key) where place_held = 1`,
  `update pools set ${SIZES.map((size) => `taken_${size} = ${liveSum(size)}`).join(', ')}`,
];

/** Adds them, and counts what live contracts take. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
