/** What a person must see of payments, with what to do about it: for the API and for the page. */
import { sql } from 'kysely';
import { toWire } from '@dc/shared/money/money';
import type { WireDispute, WireKeptEvent } from '@dc/shared/wire/payment-admin';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Reader } from '../database/database.ts';

const REMEDIES = {
  warning: 'Look at the rental: refund it if it looks like fraud, or resume it.',
  open: 'Hand in evidence in the provider’s dashboard before it is due. The rental waits; its money is held.',
  won: 'Nothing.',
  lost: 'Nothing: the contract has ended, and the loss is booked.',
  orphan: 'Find the payment in the provider’s dashboard: no payment of ours has these names.',
  unknown:
    'If it is from another program that uses the same account, dismiss it. Else find it in the provider’s dashboard.',
  mismatch: 'Refund it in the provider’s dashboard, or agree with the payer; then dismiss it.',
} as const;

const LISTED = 200;

/** Disputes and early warnings: the open ones first, then the newest. */
export async function listDisputes(reader: Reader): Promise<WireDispute[]> {
  const rows = await reader
    .selectFrom('disputes')
    .selectAll()
    .orderBy((eb) => eb('closed_at', 'is not', null))
    .orderBy('created_at', 'desc')
    .limit(LISTED)
    .execute();
  const time = (at: number | null): string | null => (at === null ? null : toTimestamp(at));
  return rows.map((row) => ({
    ...{ method: row.method, id: row.id, contract_id: row.contract_id, payment: row.payment_key },
    status: row.status as WireDispute['status'],
    funds: row.funds as WireDispute['funds'],
    amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
    reason: row.reason,
    evidence_due_at: time(row.evidence_due_at),
    created_at: toTimestamp(row.created_at),
    closed_at: time(row.closed_at),
    remedy: row.payment_key === null ? REMEDIES.orphan : REMEDIES[row.status as WireDispute['status']],
  }));
}

/** Events that belong to no payment of ours, or do not fit it, and that nobody has seen to; oldest first. */
export async function listKeptEvents(reader: Reader): Promise<WireKeptEvent[]> {
  const rows = await reader
    .selectFrom('provider_events')
    .selectAll()
    .where('outcome', 'in', [sql.lit('unknown'), sql.lit('mismatch')])
    .where('settled_at', 'is', null)
    .orderBy('received_at')
    .limit(LISTED)
    .execute();
  return rows.map((row) => ({
    ...{ method: row.method, id: row.event_id, type: row.type, detail: row.detail },
    outcome: row.outcome as WireKeptEvent['outcome'],
    payment: row.payment_key,
    received_at: toTimestamp(row.received_at),
    remedy: REMEDIES[row.outcome as WireKeptEvent['outcome']],
  }));
}
