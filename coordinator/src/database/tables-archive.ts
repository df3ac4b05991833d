/** Row types of the table of migration 0013. */

export interface ArchiveTables {
  archived_contracts: ArchivedContractsTable;
}

/** What is kept of a contract until its time of retention is over. */
export interface ArchivedContractsTable {
  contract_id: string;
  renter_pubkey: string;
  provider_pubkey: string;
  ended_at: number;
  archived_at: number;
  /** The end of the calendar year in which retention ends. */
  delete_after_at: number;
  /** JSON of an ArchiveBody. */
  body: string;
  /** Of the body. */
  sha256: string;
}
