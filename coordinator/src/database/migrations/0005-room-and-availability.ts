/** What each contract takes of which agent, when agents were away, and what they announced. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  // One row for each contract that holds a place: the agent that is to have room for it.
  `create table reservations (
     contract_id text primary key not null references contracts (id),
     agent_key text not null references agents (public_key), storage text,
     cpu bigint not null, memory_mb bigint not null, disk_gb bigint not null,
     included integer not null check (included in (0, 1)))`,
  `create index reservations_agent on reservations (agent_key)`,
  `insert into reservations
     select id, coalesce(agent_key, (select min(public_key) from agents where agents.pool_id = contracts.pool_id)),
       null, cpu, memory_mb, disk_gb, case when provisioned_at is null then 0 else 1 end
     from contracts where place_held = 1
       and coalesce(agent_key, (select min(public_key) from agents where agents.pool_id = contracts.pool_id)) is not null`,
  // Agents publish theirs again with the next heartbeat.
  `drop table capacities`,
  `create table capacities (
     agent_key text primary key not null references agents (public_key), statement text, backend text,
     expires_at bigint not null,
     refused_at bigint not null default 0, room_cpu bigint not null, room_memory_mb bigint not null,
     room_instances bigint not null, room_addresses bigint, room_port_blocks bigint)`,
  `create index capacities_backend on capacities (backend) where backend is not null`,
  `create table storage_rooms (
     agent_key text not null references capacities (agent_key) on delete cascade, name text not null,
     room_gb bigint not null, primary key (agent_key, name))`,
  ...['cpu', 'memory_mb', 'disk_gb', 'instances'].map(
    (size) => `alter table pools drop column taken_${size}`,
  ),
  // 1: any pool of the provider in the offering's country serves it; pool_id is one of them.
  `alter table offerings add column any_pool integer not null default 0 check (any_pool in (0, 1))`,
  `alter table agents add column healthy integer not null default 1 check (healthy in (0, 1))`,
  `alter table agents add column first_heartbeat_at bigint`,
  `update agents set first_heartbeat_at = last_heartbeat_at`,
  // How often an agent has handed an item back, and until when it is not asked again.
  `alter table hand_backs add column times bigint not null default 1`,
  `alter table hand_backs add column until_at bigint not null default 0`,
  // Times without a heartbeat that are over; one that goes on follows from the agent's last heartbeat.
  `create table outages (
     agent_key text not null references agents (public_key), from_at bigint not null, to_at bigint not null,
     primary key (agent_key, from_at))`,
  // What the agent's availability records said, from when they came in on.
  `create table availability (
     agent_key text not null references agents (public_key), seq bigint not null, at bigint not null,
     received_at bigint not null, draining integer not null check (draining in (0, 1)), maintenance_until_at bigint,
     primary key (agent_key, seq))`,
];

/** Adds them, and keeps what live contracts take. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
