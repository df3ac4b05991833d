/** A health record as the API shows it, and where a page of them ends. Pure. */
import type { Static } from 'typebox';
import { parseJws } from '@dc/shared/crypto/jws';
import { AppError } from '@dc/shared/errors';
import type { RecordPayload } from '@dc/shared/evidence/record';
import type { HealthReport } from '@dc/shared/wire/contract';
import type { RecordRow } from '../evidence/record-store.ts';

/** Reads the verbatim record; it was verified when it came in. */
function describeHealth(row: RecordRow): Static<typeof HealthReport> {
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

/** A page of at most `limit`: one row more says that there is another. */
export function viewHealthPage(rows: readonly RecordRow[], limit: number) {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next = rows.length > limit && last !== undefined ? toCursor(last) : null;
  return { items: page.map(describeHealth), next_cursor: next };
}

const toCursor = (row: RecordRow): string => `${String(row.received_at)}-${String(row.seq)}`;

/** Reads a cursor. Throws REQUEST_INVALID for what `viewHealthPage` did not make. */
export function fromHealthCursor(cursor: string): { receivedAt: number; seq: number } {
  const [, receivedAt, seq] = /^([0-9]{1,15})-([0-9]{1,15})$/.exec(cursor) ?? [];
  if (receivedAt === undefined)
    throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list.', {
      fields: [{ pointer: '/query/cursor', detail: 'must be the next_cursor of the page before' }],
    });
  return { receivedAt: Number(receivedAt), seq: Number(seq) };
}
