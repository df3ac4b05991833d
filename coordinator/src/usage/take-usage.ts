/** Takes usage events in: each once, whatever the order, and as far as they can be right. */
import { AppError } from '@dc/shared/errors';
import type { WireUsageEvent, WireUsageReported } from '@dc/shared/wire/usage';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Transaction } from '../database/database.ts';
import { CLOSE_AFTER_MS } from './usage-meter.ts';
import { HEARTBEAT_GAP_MS, SESSION_MS_MAX } from './usage-rules.ts';
import { findEvent, findMeter, insertEvent, updateMeter, type EventRow } from './usage-store.ts';

/** An agent's clock may be this far ahead. */
const AHEAD_MS_MAX = 300_000;
/** Agents keep what they could not deliver; Stripe's meters take nothing older either. */
const LATE_MS_MAX = 34 * 86_400_000;

type Result = WireUsageReported['results'][number];
type NewEvent = Omit<EventRow, 'seq'>;

/** Takes them, in one transaction. Throws REQUEST_INVALID for a session that ends before it begins, or is too long. */
export async function takeUsage(
  trx: Transaction,
  contract: Pick<ContractRow, 'id'>,
  { events, reporter, now }: { events: readonly WireUsageEvent[]; reporter: string; now: number },
): Promise<Result[]> {
  const results: Result[] = [];
  let earliestAt = Infinity;
  for (const [index, event] of events.entries()) {
    const row = readEvent(event, index, { contractId: contract.id, reporter, now });
    const result = await takeEvent(trx, row, now);
    if (result.outcome === 'recorded') earliestAt = Math.min(earliestAt, row.at);
    results.push(result);
  }
  const meter = await findMeter(trx, contract.id);
  // About time that was charged for already: looked at again soon. A heartbeat also says something of the time before.
  if (meter?.closed_until_at != null && earliestAt - HEARTBEAT_GAP_MS < meter.closed_until_at) {
    const soon = now + CLOSE_AFTER_MS;
    await updateMeter(trx, contract.id, { due_at: Math.min(meter.due_at ?? soon, soon) });
  }
  return results;
}

function readEvent(
  event: WireUsageEvent,
  index: number,
  { contractId, reporter, now }: { contractId: string; reporter: string; now: number },
): NewEvent {
  const at = Date.parse(event.at);
  const endedAt = event.kind === 'session' ? Date.parse(event.ended_at) : null;
  if (Number.isNaN(at) || Number.isNaN(endedAt ?? 0))
    throw invalid(`/events/${String(index)}/at`, 'must be a time that there is');
  if (endedAt !== null && (endedAt <= at || endedAt - at > SESSION_MS_MAX))
    throw invalid(`/events/${String(index)}/ended_at`, 'must be after `at`, by a day at most');
  return {
    contract_id: contractId,
    id: event.id,
    kind: event.kind,
    at,
    ended_at: endedAt,
    units_e9s: event.kind === 'counter' ? BigInt(event.units_e9s) : null,
    reported_by: reporter,
    received_at: now,
  };
}

function invalid(pointer: string, detail: string): AppError {
  return new AppError('REQUEST_INVALID', undefined, { fields: [{ pointer, detail }] });
}

async function takeEvent(trx: Transaction, row: NewEvent, now: number): Promise<Result> {
  const { id } = row;
  const known = await findEvent(trx, row.contract_id, id);
  if (known !== null)
    return isSame(known, row)
      ? { id, outcome: 'already_recorded' }
      : { id, outcome: 'refused', code: 'USAGE_EVENT_CONFLICT' };
  // Of time that has not come, or that nobody charges for any more.
  if ((row.ended_at ?? row.at) > now + AHEAD_MS_MAX || row.at < now - LATE_MS_MAX)
    return { id, outcome: 'refused', code: 'USAGE_EVENT_TIME' };
  await insertEvent(trx, row);
  return { id, outcome: 'recorded' };
}

const isSame = (one: NewEvent, other: NewEvent): boolean =>
  one.kind === other.kind &&
  one.at === other.at &&
  one.ended_at === other.ended_at &&
  one.units_e9s === other.units_e9s;
