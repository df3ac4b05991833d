/** An archived contract on the wire. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireArchivedContract } from '@dc/shared/wire/archive';
import type { ArchivedContractsTable } from '../database/tables-archive.ts';
import type { ArchiveBody } from './archive-store.ts';

export function viewArchived(row: ArchivedContractsTable): WireArchivedContract {
  return {
    archived_at: toTimestamp(row.archived_at),
    delete_after: toTimestamp(row.delete_after_at),
    sha256: row.sha256,
    contract: JSON.parse(row.body) as ArchiveBody,
  };
}
