/** Reads the journal's records back, and fails where their chain does not hold. */
import { CHAIN_START, type RecordPayload, verifyRecord } from '@dc/shared/evidence/record';
import { expect } from 'vitest';
import type { JournalReader } from '../../journal/journal.ts';

/** The payloads of all undelivered records, in order. Fails on a bad signature, a gap, or a broken link. */
export function readRecords(journal: JournalReader): RecordPayload[] {
  let prev = CHAIN_START;
  return journal.undeliveredRecords(10_000).map(({ compact }, index) => {
    const record = verifyRecord(compact);
    if (record === null) throw new Error(`record ${String(index + 1)} does not verify`);
    expect(record.payload.seq).toBe(index + 1);
    expect(record.payload.prev).toBe(prev);
    prev = record.hash;
    return record.payload;
  });
}
