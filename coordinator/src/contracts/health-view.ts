/** A health record as the API shows it. Pure. */
import type { Static } from 'typebox';
import { parseJws } from '@dc/shared/crypto/jws';
import type { RecordPayload } from '@dc/shared/evidence/record';
import type { HealthReport } from '@dc/shared/wire/contract';
import type { RecordRow } from '../evidence/record-store.ts';

/** Reads the verbatim record; it was verified when it came in. */
export function describeHealth(row: RecordRow): Static<typeof HealthReport> {
  const payload = parseJws(row.compact)?.payload as RecordPayload;
  const { status, latency_ms } = payload.data;
  return {
    at: new Date(payload.at).toISOString(),
    status: typeof status === 'string' && /^[a-z_]{1,32}$/.test(status) ? status : 'unknown',
    latency_ms: typeof latency_ms === 'number' ? latency_ms : null,
    agent: row.agent_key,
    seq: row.seq,
  };
}
