/**
 * Invoices, receipts and credit notes, which never change once they are issued; who is billed; and what renters allow
 * themselves to spend in a month.
 */
import type { Transaction } from '../database.ts';
import { runStatements } from './migration.ts';

const STATEMENTS: readonly string[] = [
  // No foreign key to the contract: a document outlives it. The body is what everything is rendered from.
  `create table documents (
     number text primary key not null, series text not null, seq integer not null check (seq > 0),
     kind text not null check (kind in ('invoice', 'receipt', 'credit_note')), account_pubkey text not null,
     contract_id text, currency text not null, net_e9s bigint not null, tax_e9s bigint not null,
     gross_e9s bigint not null check (gross_e9s = net_e9s + tax_e9s), issued_at bigint not null,
     body text not null, sha256 text not null, unique (series, seq))`,
  `create index documents_account on documents (account_pubkey, issued_at)`,
  `create index documents_contract on documents (contract_id) where contract_id is not null`,
  `create index documents_issued on documents (issued_at)`,
  // Each set of postings is in one document at most.
  `create table document_sets (
     cause text primary key not null references ledger_sets (cause), number text not null references documents (number))`,
  `create index document_sets_number on document_sets (number)`,
  // What was handed out once is handed out again, byte for byte.
  `create table document_files (
     number text not null references documents (number), format text not null check (format in ('pdf', 'html')),
     content text not null, sha256 text not null, primary key (number, format))`,
  // What is left of documents whose time of retention is over: that they were there, and what they hashed to.
  `create table documents_forgotten (
     number text primary key not null, series text not null, seq integer not null, sha256 text not null,
     forgotten_at bigint not null, unique (series, seq))`,
  ...['documents', 'document_sets', 'document_files'].flatMap((table) => [
    `create trigger ${table}_no_update before update on ${table} begin
       select raise(abort, 'documents: they do not change once they are issued'); end`,
    `create trigger ${table}_no_delete before delete on ${table}
       when not exists (select 1 from documents_forgotten where number = old.number) begin
       select raise(abort, 'documents: they stay until their time of retention is over'); end`,
  ]),
  `create trigger documents_no_gap before insert on documents
     when new.seq <> 1 + coalesce((select max(seq) from (
       select max(seq) as seq from documents where series = new.series
       union all select max(seq) from documents_forgotten where series = new.series)), 0) begin
     select raise(abort, 'documents: numbers have no gaps'); end`,
  `create table billing_profiles (
     account_pubkey text primary key not null references accounts (pubkey), name text not null, address text not null,
     country text not null, vat_number text, updated_at bigint not null)`,
  `create table spending_limits (
     account_pubkey text not null references accounts (pubkey), currency text not null,
     amount_e9s bigint not null check (amount_e9s >= 0), updated_at bigint not null,
     primary key (account_pubkey, currency))`,
  `create table spending_alerts (
     account_pubkey text not null references accounts (pubkey), currency text not null, month text not null,
     percent integer not null check (percent in (50, 80, 100)), at bigint not null,
     primary key (account_pubkey, currency, month, percent))`,
];

/** Makes them. Runs once, in one transaction. */
export async function up(trx: Transaction): Promise<void> {
  await runStatements(trx, STATEMENTS);
}
