/** Refunds that wait for an admin, for the API and for the pages. */
import { toWire } from '@dc/shared/money/money';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireRefundRequest } from '@dc/shared/wire/payment-admin';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Reader } from '../database/database.ts';
import { findRequestOf, stateOf, type RefundRequestRow } from './refund-gate-store.ts';
import { REFUND_TOPIC } from './refund-topic.ts';

const time = (at: number | null): string | null => (at === null ? null : toTimestamp(at));

/** A request as admins see it. */
export function viewRequest(row: RefundRequestRow): WireRefundRequest {
  const { id, contract_id, renter_pubkey, method, cause, decided_by, reason } = row;
  return {
    ...{ id, contract_id, renter_pubkey, method, cause, decided_by, reason },
    refund: row.refund_key,
    amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
    bound: row.bound as WireRefundRequest['bound'],
    status: stateOf(row),
    asked_at: toTimestamp(row.asked_at),
    decided_at: time(row.decided_at),
    sent_at: time(row.confirmed_at),
  };
}

/** What the contract says of a refund that waits or was declined; null where there is no such. */
export async function viewRefundApproval(
  reader: Reader,
  contractId: string,
): Promise<NonNullable<WireContract['refund_approval']> | null> {
  const row = await findRequestOf(reader, contractId);
  if (row === null) return null;
  return {
    status: row.decision === null ? 'waiting' : 'declined',
    amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
    since: toTimestamp(row.asked_at),
    reason: row.reason,
  };
}

/** A refund that was asked for again and again. */
export interface FailingRefund {
  key: string;
  attempts: number;
  lastError: string | null;
}

/** Fewer attempts than this are a provider that is away for a while. */
const ATTEMPTS_SHOWN_MIN = 10;

/** Refunds that do not leave, however often they are tried; most attempts first. They go on being tried. */
export async function listFailingRefunds(reader: Reader, limit: number): Promise<FailingRefund[]> {
  const rows = await reader
    .selectFrom('outbox')
    .select(['key', 'attempts', 'last_error'])
    .where('topic', '=', REFUND_TOPIC.name)
    .where('done_at', 'is', null)
    .where('attempts', '>=', ATTEMPTS_SHOWN_MIN)
    .orderBy('attempts', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ key, attempts, last_error: lastError }) => ({ key, attempts, lastError }));
}
