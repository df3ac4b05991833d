/**
 * The tables that everything else stands on: facts about the installation, the outbox, and the ledger with the
 * constraints that make I1 true whatever the program does. docs/decisions/ledger.md explains them.
 */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const META = `create table meta (key text not null primary key, value text not null)`;

const OUTBOX = [
  `create table outbox (
    topic text not null,
    key text not null,
    payload text not null,
    created_at bigint not null,
    not_before_at bigint not null,
    attempts integer not null,
    leased_by text,
    done_at bigint,
    needs_attention_at bigint,
    last_error text,
    primary key (topic, key)
  )`,
  // Holds exactly the rows that wait, and all that the runner's one query reads.
  `create index outbox_waiting on outbox (not_before_at, topic, key)
    where done_at is null and needs_attention_at is null`,
  `create index outbox_needs_attention on outbox (needs_attention_at) where needs_attention_at is not null`,
  `create index outbox_done on outbox (done_at) where done_at is not null`,
];

const LEDGER = [
  // A set cannot be committed without its seal (the deferred reference), and the seal checks the set (a trigger).
  `create table ledger_sets (
    id text not null primary key references ledger_seals (set_id) deferrable initially deferred,
    cause text not null unique check (length(cause) between 1 and 200),
    kind text not null check (length(kind) > 0),
    contract_id text check (length(contract_id) > 0),
    currency text not null check (length(currency) > 0),
    at bigint not null,
    unique (id, currency)
  )`,
  `create index ledger_sets_contract on ledger_sets (contract_id, currency) where contract_id is not null`,
  // The reference with the currency is what keeps a set in one currency.
  `create table ledger_postings (
    set_id text not null,
    line integer not null,
    account text not null,
    amount_e9s bigint not null check (amount_e9s <> 0),
    currency text not null,
    primary key (set_id, line),
    foreign key (set_id, currency) references ledger_sets (id, currency),
    check (account = 'platform_revenue' or account like 'processor:_%' or account like 'escrow:_%'
      or account like 'provider_payable:_%' or account like 'refund_due:_%')
  )`,
  `create index ledger_postings_account on ledger_postings (account, currency, amount_e9s)`,
  `create table ledger_seals (set_id text not null primary key references ledger_sets (id))`,
];

/** Refuses with `message` where `condition` holds. */
const refuse = (message: string, condition: string): string =>
  `select raise(abort, 'ledger: ${message}') where ${condition};`;

// INSERT OR REPLACE removes the old row without a delete trigger unless recursive triggers are on, which another
// program's connection may not have: hence the checks for a row that is there already.
const SQLITE_LEDGER_TRIGGERS = [
  ...['ledger_sets', 'ledger_postings', 'ledger_seals'].flatMap((table) => [
    `create trigger ${table}_no_update before update on ${table} begin ${refuse('append only', 'true')} end`,
    `create trigger ${table}_no_delete before delete on ${table} begin ${refuse('append only', 'true')} end`,
  ]),
  `create trigger ledger_sets_insert before insert on ledger_sets begin
    ${refuse('append only', 'exists (select 1 from ledger_sets where id = new.id or cause = new.cause)')}
  end`,
  `create trigger ledger_postings_insert before insert on ledger_postings begin
    ${refuse('append only', 'exists (select 1 from ledger_postings where set_id = new.set_id and line = new.line)')}
    ${refuse('the set is sealed', 'exists (select 1 from ledger_seals where set_id = new.set_id)')}
    ${refuse('an amount is an integer', "typeof(new.amount_e9s) <> 'integer'")}
    ${refuse(
      'the account belongs to another contract',
      `(new.account like 'escrow:%' or new.account like 'refund_due:%') and not exists (
        select 1 from ledger_sets where id = new.set_id
          and contract_id = substr(new.account, instr(new.account, ':') + 1))`,
    )}
  end`,
  `create trigger ledger_seals_insert before insert on ledger_seals begin
    ${refuse('append only', 'exists (select 1 from ledger_seals where set_id = new.set_id)')}
    ${refuse(
      'the set does not balance',
      `(select count(*) < 2 or sum(amount_e9s) <> 0 from ledger_postings where set_id = new.set_id)`,
    )}
    ${refuse(
      'escrow and refunds due cannot go below zero',
      `exists (
        select 1 from ledger_postings touched where touched.set_id = new.set_id
          and (touched.account like 'escrow:%' or touched.account like 'refund_due:%')
          and (select sum(amount_e9s) from ledger_postings p
               where p.account = touched.account and p.currency = touched.currency) < 0)`,
    )}
    ${refuse(
      'released and refunded exceed paid',
      `exists (
        select 1 from ledger_sets s where s.id = new.set_id and s.contract_id is not null
          and (select sum(p.amount_e9s) from ledger_postings p join ledger_sets moved on moved.id = p.set_id
               where p.account = 'escrow:' || s.contract_id and p.currency = s.currency
                 and moved.kind in ('payment_received', 'released_to_provider', 'refund_decided')) < 0)`,
    )}
  end`,
];

/** Makes the tables and their triggers. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, [META, ...OUTBOX, ...LEDGER, ...SQLITE_LEDGER_TRIGGERS]);
}
