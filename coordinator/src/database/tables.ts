/**
 * The row types of every table, as Kysely sees them. Integers are numbers, except that a column whose name ends in
 * `_e9s` is always a bigint; times (`…_at`) are milliseconds since the epoch; booleans are 0 and 1; JSON is text.
 */

import type { Generated } from 'kysely';
import type { ArchiveTables } from './tables-archive.ts';
import type { DocumentTables } from './tables-documents.ts';
import type { PaymentTables } from './tables-payments.ts';
import type { MoneyTables } from './tables-money.ts';
import type { RefundTables } from './tables-refunds.ts';
import type { PriceTables } from './tables-prices.ts';
import type { SafeModeTables } from './tables-safe-mode.ts';
import type { SpineTables } from './tables-spine.ts';
import type { UsageTables } from './tables-usage.ts';

/** Table name → row. A migration that makes a table adds its row type here. */
export interface Tables
  extends
    SpineTables,
    SafeModeTables,
    PaymentTables,
    MoneyTables,
    UsageTables,
    RefundTables,
    PriceTables,
    DocumentTables,
    ArchiveTables {
  migrations: MigrationsTable;
  meta: MetaTable;
  outbox: OutboxTable;
  signals: SignalsTable;
  ledger_sets: LedgerSetsTable;
  ledger_postings: LedgerPostingsTable;
  ledger_seals: LedgerSealsTable;
}

/** The migrations that this file has had; see migrate.ts. */
export interface MigrationsTable {
  name: string;
  applied_at: number;
}

/** Facts about this installation, one a row. */
export interface MetaTable {
  key: string;
  value: string;
}

/** Work that leaves after a commit; see jobs/outbox.ts. */
export interface OutboxTable {
  topic: string;
  key: string;
  payload: string;
  created_at: number;
  /** When it may run; while `leased_by` is set, when that lease ends. */
  not_before_at: number;
  /** Counted when an attempt starts, so that a row which kills the process counts too. */
  attempts: number;
  leased_by: string | null;
  done_at: number | null;
  needs_attention_at: number | null;
  last_error: string | null;
}

/** What changed, for the streams of every coordinator process; see jobs/signals.ts. */
export interface SignalsTable {
  id: Generated<number>;
  topic: string;
  key: string;
  at: number;
}

/** One balanced set of postings; see payments/ledger.ts. */
export interface LedgerSetsTable {
  id: string;
  cause: string;
  kind: string;
  contract_id: string | null;
  currency: string;
  at: number;
}

export interface LedgerPostingsTable {
  set_id: string;
  line: number;
  account: string;
  amount_e9s: bigint;
  currency: string;
}

/** A sealed set is checked and takes no more postings; an unsealed one cannot be committed. */
export interface LedgerSealsTable {
  set_id: string;
}
