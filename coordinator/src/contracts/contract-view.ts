/** The contract object of PROTOCOL.md, put together from the row, its history, its refunds and the time. */
import type { Static } from 'typebox';
import { toWire } from '@dc/shared/money/money';
import { isTerminal } from '@dc/shared/state/contract';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Stage, WireAccess, WireContract } from '@dc/shared/wire/contract';
import type { Reader } from '../database/database.ts';
import { findCheckoutUrls, keyOfContract } from '../payments/payment-asks.ts';
import { refundedE9s } from '../payments/refund-store.ts';
import { quoteRefund } from '../payments/book-earning.ts';
import { viewRefundApproval } from '../payments/refund-gate-view.ts';
import { viewTokenPrice } from '../prices/token-price.ts';
import { viewCredentials } from '../credentials/credential-view.ts';
import { endOfPause } from './contract-rules.ts';
import { findNotice } from './contract-notice.ts';
import { findContract, listHistory, type ContractRow, type HistoryRow } from './contract-store.ts';
import { viewExtending } from './extend-contract.ts';
import { listExtensions, type ExtensionRow } from './extension-store.ts';

/** The contract as its parties see it at `now`, or null where there is none. */
export async function viewContract(reader: Reader, id: string, now: number): Promise<WireContract | null> {
  const row = await findContract(reader, id);
  return row === null ? null : viewRow(reader, row, now);
}

/** The same for a row that is at hand. */
export async function viewRow(reader: Reader, row: ContractRow, now: number): Promise<WireContract> {
  const history = await listHistory(reader, row.id);
  const refunded = isTerminal(row.state) ? await refundedE9s(reader, row.id) : 0n;
  const refundIfCancelled = isTerminal(row.state) ? 0n : await quoteRefund(reader, row, now);
  const extensions = row.active_at === null ? [] : await listExtensions(reader, row.id);
  const credentials = row.active_at === null ? null : await viewCredentials(reader, row.id);
  const checkoutUrls = await findCheckoutUrls(reader, row, extensions);
  const tokenPrice = await viewTokenPrice(reader, keyOfContract(row.id));
  const contract = composeContract(
    row,
    { history, refunded, refundIfCancelled, extensions, checkoutUrls },
    now,
  );
  return {
    ...contract,
    payment: { ...contract.payment, ...(tokenPrice === null ? {} : { token_price: tokenPrice }) },
    notice: await findNotice(reader, row, now),
    may_extend: await viewExtending(reader, row),
    ...(isTerminal(row.state) ? { refund_approval: await viewRefundApproval(reader, row.id) } : {}),
    ...(credentials === null ? {} : { credentials }),
  };
}

/** A page of contracts, newest first. */
export interface ContractPage {
  items: WireContract[];
  nextCursor: string | null;
}

/** Which contracts to list: the renter's or the provider's, optionally in one state. */
export interface ContractFilter {
  party: { renter: string } | { provider: string };
  state?: string | undefined;
  limit: number;
  /** The id of the last contract of the page before. */
  cursor?: string | undefined;
}

/** Lists contracts, newest first; ids are UUIDv7, so that they sort by time. */
export async function listContracts(
  reader: Reader,
  filter: ContractFilter,
  now: number,
): Promise<ContractPage> {
  let query = reader
    .selectFrom('contracts')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(filter.limit + 1);
  query =
    'renter' in filter.party
      ? query.where('renter_pubkey', '=', filter.party.renter)
      : query.where('provider_pubkey', '=', filter.party.provider);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.cursor !== undefined) query = query.where('id', '<', filter.cursor);
  const rows = (await query.execute()) as ContractRow[];
  const page = rows.slice(0, filter.limit);
  const items: WireContract[] = [];
  for (const row of page) items.push(await viewRow(reader, row, now));
  return { items, nextCursor: rows.length > filter.limit ? (page.at(-1)?.id ?? null) : null };
}

/** What belongs to a contract beside its row. */
interface Belongings {
  history: readonly HistoryRow[];
  /** In nano-units: what was refunded, and what would be if it were cancelled now. */
  refunded: bigint;
  refundIfCancelled: bigint;
  extensions: readonly ExtensionRow[];
  /** Where the contract (by its id) and its extensions (by theirs) can be paid. */
  checkoutUrls?: ReadonlyMap<string, string>;
}

/** Puts the wire object together. Pure. */
export function composeContract(
  row: ContractRow,
  { history, refunded, refundIfCancelled, extensions, checkoutUrls }: Belongings,
  now: number,
): WireContract {
  const { currency } = row;
  const time = (ms: number | null): string | null => (ms === null ? null : toTimestamp(ms));
  const reachable = row.state === 'provisioned' || row.state === 'active' || row.state === 'paused';
  const money = (amountE9s: bigint) => toWire({ amountE9s, currency });
  return {
    id: row.id,
    offering_id: row.offering_id,
    offering_title: row.offering_title,
    provider_pubkey: row.provider_pubkey,
    state: row.state,
    release: row.release,
    version: row.version,
    duration_hours: row.duration_hours,
    operating_system: row.operating_system,
    total: money(row.total_e9s),
    payment: {
      method: row.payment_method,
      status: row.payment_state,
      checkout_url: checkoutUrls?.get(row.id) ?? null,
    },
    created_at: toTimestamp(row.created_at),
    paid_at: time(row.paid_at),
    active_at: time(row.active_at),
    // While it is paused, the end moves with the time.
    ends_at: time(row.state === 'paused' ? endOfPause(row, now).ends_at : row.ends_at),
    ended_at: time(row.ended_at),
    access: reachable && row.access !== null ? (JSON.parse(row.access) as WireAccess) : null,
    verified_by: row.verified_by as WireContract['verified_by'],
    stages: stagesOf(row, history),
    timeline: history.map((entry) => ({
      at: toTimestamp(entry.at),
      from: entry.from_state,
      to: entry.to_state,
      actor: entry.actor,
      reason: entry.reason,
    })),
    refund_if_cancelled_now: isTerminal(row.state) ? null : money(refundIfCancelled),
    refunded: refunded === 0n ? null : money(refunded),
    last_error: row.last_error === null ? null : (JSON.parse(row.last_error) as WireContract['last_error']),
    extensions: extensions.map(({ id, hours, price_e9s, state, created_at }) => ({
      id,
      hours,
      price: money(price_e9s),
      status: state,
      checkout_url: checkoutUrls?.get(id) ?? null,
      created_at: toTimestamp(created_at),
    })),
  };
}

/** The stages from order to login that have begun, each from the history rows that open and close it. */
function stagesOf(row: ContractRow, history: readonly HistoryRow[]): Static<typeof Stage>[] {
  const reached = (state: string): number | null =>
    history.find((entry) => entry.to_state === state)?.at ?? null;
  const bounds: [name: string, from: number | null, to: number | null][] = [
    ['payment', row.created_at, row.paid_at],
    ['queue', row.paid_at, reached('provisioning')],
    ['provisioning', reached('provisioning'), reached('provisioned')],
    ['verification', reached('provisioned'), row.active_at],
  ];
  const stages: Static<typeof Stage>[] = [];
  for (const [name, from, to] of bounds) {
    // What comes after the end (a late payment, which goes straight back) opens no stage.
    if (from === null || (row.ended_at !== null && from > row.ended_at)) break;
    const end = to ?? row.ended_at; // A contract that ended early closes the stage that it was in.
    stages.push({
      name,
      started_at: toTimestamp(from),
      ended_at: end === null ? null : toTimestamp(end),
      duration_ms: end === null ? null : end - from,
    });
    if (to === null) break;
  }
  return stages;
}
