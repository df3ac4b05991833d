/** Payouts that are sent by themselves: where to, what was asked for, and what of a provider's money was left over. */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  // What its releases sum to. Where a transfer cannot say a fraction of a cent, it is of less, or of what was left before.
  `alter table payouts add column releases_e9s bigint not null default 0`,
  `update payouts set releases_e9s = amount_e9s`,
  // What came back of it after it had arrived.
  `alter table payouts add column reversed_e9s bigint not null default 0
    check (reversed_e9s between 0 and amount_e9s)`,
  // Never changed but for a withdrawal: what was set, when, and from when on money goes there.
  `create table payout_destinations (
    id text not null primary key,
    provider_pubkey text not null references providers (pubkey),
    route text not null,
    account text not null,
    set_at bigint not null,
    usable_at bigint not null,
    withdrawn_at bigint,
    check (usable_at >= set_at)
  )`,
  `create index payout_destinations_provider on payout_destinations (provider_pubkey, route, id)`,
  // What is asked for, before it is: a crash asks for exactly the same again.
  `create table payout_transfers (
    payout_id text not null primary key references payouts (id),
    terms text not null,
    asked_at bigint not null,
    is_asked integer not null default 0 check (is_asked in (0, 1))
  )`,
];

/** Changes the tables. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
