/** Row types of the tables of migration 0012: documents, who is billed, what may be spent. */

export interface DocumentTables {
  documents: DocumentsTable;
  document_sets: DocumentSetsTable;
  document_files: DocumentFilesTable;
  documents_forgotten: DocumentsForgottenTable;
  billing_profiles: BillingProfilesTable;
  spending_limits: SpendingLimitsTable;
  spending_alerts: SpendingAlertsTable;
}

/** An invoice, receipt or credit note; see invoices/document.ts for its body. */
export interface DocumentsTable {
  /** `INV-2026-000001`. */
  number: string;
  series: string;
  /** From 1, without gaps in its series. */
  seq: number;
  kind: string;
  account_pubkey: string;
  contract_id: string | null;
  currency: string;
  /** Below zero in a credit note. */
  net_e9s: bigint;
  tax_e9s: bigint;
  gross_e9s: bigint;
  issued_at: number;
  /** JSON of a DocumentBody. */
  body: string;
  /** Of the body. */
  sha256: string;
}

/** Which sets of postings a document is about. */
export interface DocumentSetsTable {
  cause: string;
  number: string;
}

/** A document as it was handed out for the first time. */
export interface DocumentFilesTable {
  number: string;
  format: string;
  /** base64. */
  content: string;
  sha256: string;
}

/** What is left of a document whose time of retention is over. */
export interface DocumentsForgottenTable {
  number: string;
  series: string;
  seq: number;
  sha256: string;
  forgotten_at: number;
}

/** What a renter wants on invoices. */
export interface BillingProfilesTable {
  account_pubkey: string;
  name: string;
  /** Lines. */
  address: string;
  /** ISO 3166-1 alpha-2. */
  country: string;
  vat_number: string | null;
  updated_at: number;
}

/** The most that a renter wants to spend in a calendar month (UTC). */
export interface SpendingLimitsTable {
  account_pubkey: string;
  currency: string;
  amount_e9s: bigint;
  updated_at: number;
}

/** A share of the limit was reached, once a month. */
export interface SpendingAlertsTable {
  account_pubkey: string;
  currency: string;
  /** `2026-11`. */
  month: string;
  percent: number;
  at: number;
}
