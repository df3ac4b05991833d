/** The ledger's tables as PostgreSQL has them; the columns and references are those of migrations 0001 and 0007. */
export const POSTGRES_LEDGER_TABLES: readonly string[] = [
  `create table ledger_sets (
    id text not null primary key,
    cause text not null unique check (length(cause) between 1 and 200),
    kind text not null check (length(kind) > 0),
    contract_id text check (length(contract_id) > 0),
    currency text not null check (length(currency) > 0),
    at bigint not null,
    unique (id, currency)
  )`,
  `create table ledger_postings (
    set_id text not null,
    line integer not null,
    account text not null,
    amount_e9s bigint not null check (amount_e9s <> 0),
    currency text not null,
    primary key (set_id, line),
    foreign key (set_id, currency) references ledger_sets (id, currency)
  )`,
  `create table ledger_seals (set_id text not null primary key references ledger_sets (id))`,
  `alter table ledger_sets add foreign key (id) references ledger_seals (set_id) deferrable initially deferred`,
  `create index ledger_postings_account on ledger_postings (account, currency, amount_e9s)`,
];
