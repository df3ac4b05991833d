/**
 * What agents know and the database does not, in words for the admin who has to resolve a safe mode: each line says
 * what is different and what resolving does about it.
 */
import { sql } from 'kysely';
import type { OrderPayload } from '@dc/shared/orders/order';
import { parseJws } from '@dc/shared/crypto/jws';
import { isTerminal, type ContractState } from '@dc/shared/state/contract';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { readTombstone } from '../agents/tombstone.ts';
import type { Context } from '../context.ts';
import type { Reader } from '../database/database.ts';
import {
  findSafeMode,
  listHeldBack,
  listHeldOrders,
  listSilentAgents,
  type SafeModeRow,
} from './safe-mode-store.ts';

/** Where a safe mode stands. */
export interface Differences {
  safeMode: SafeModeRow;
  lines: string[];
  /** Agents that have not told what they hold: what they know nobody knows yet. */
  silentAgents: string[];
}

/** Null where there is no safe mode. */
export async function findDifferences(context: Context, reader: Reader): Promise<Differences | null> {
  const safeMode = await findSafeMode(reader);
  if (safeMode === null) return null;
  const held = await listHeldOrders(reader, safeMode.entered_at);
  const silentAgents = await listSilentAgents(reader, {
    since: safeMode.entered_at,
    now: context.clock.now(),
  });
  const lines = [
    ...held.flatMap((order) => describeHeldOrder(order) ?? []),
    ...(await describeRecords(reader)),
    ...(await listForgedWork(context, reader)).map(
      ({ id, contract_id }) =>
        `order ${id}: would destroy the instance of contract ${contract_id}, and was not made by this coordinator → it is withdrawn`,
    ),
  ];
  return { safeMode, lines, silentAgents };
}

type HeldOrder = Awaited<ReturnType<typeof listHeldOrders>>[number];

function describeHeldOrder(held: HeldOrder): string | null {
  const { contract_id, agent_key, epoch, known_epoch, state, kind } = held;
  const who = `agent ${agent_key.slice(0, 16)}`;
  if (known_epoch === null || state === null)
    return `contract ${contract_id}: unknown here; ${who} holds an order to ${kind} → nothing is done, its instance stays; find its payment with the payment provider`;
  const tombstone = tombstoneOf(held.compact);
  if (tombstone !== undefined && !isTerminal(state as ContractState))
    return `contract ${contract_id}: ${state} here; it was ${tombstone.reason} at ${tombstone.at} → it is ended as of then`;
  if (epoch <= known_epoch) return null;
  return `contract ${contract_id}: epoch ${String(known_epoch)} here; ${who} was ordered to ${kind} under ${String(epoch)} → the epoch is raised`;
}

/** What a destroy order that we once signed says of the contract's end. */
export function tombstoneOf(compact: string): OrderPayload['tombstone'] {
  const order = (parseJws(compact)?.payload ?? {}) as Partial<OrderPayload>;
  return order.kind === 'destroy' ? order.tombstone : undefined;
}

async function describeRecords(reader: Reader): Promise<string[]> {
  const counts = new Map<string, number>();
  for (const { agent_key, kind } of await listHeldBack(reader)) {
    const name = `${kind} of agent ${agent_key.slice(0, 16)}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(
    ([name, count]) => `${String(count)} × ${name}: kept → acted upon where they still fit`,
  );
}

/** Live orders to destroy whose tombstone is not ours. */
export async function listForgedWork(context: Context, reader: Reader) {
  const { rows } = await sql<{
    id: string;
    contract_id: string;
    tombstone: string | null;
    state: ContractState;
  }>`
    select w.id, w.contract_id, w.tombstone, c.state from work w join contracts c on c.id = w.contract_id
    where w.kind = 'destroy' and w.state in ('open', 'leased')`.execute(reader);
  return rows.filter(
    ({ contract_id: id, state, tombstone }) => readTombstone(context, { id, state }, tombstone) === null,
  );
}

/** The report of `admin safe-mode status`. */
export function renderDifferences({ safeMode, lines, silentAgents }: Differences): string {
  const { entered_at, cause, detail, agent_key, known_until_at } = safeMode;
  const by = agent_key === null ? '' : ` Shown by agent ${agent_key}.`;
  return [
    `Safe mode since ${toTimestamp(entered_at)} (${cause}): nothing is sold, ordered, ended or paid. Instances go on.`,
    `${detail}${by}`,
    `The newest thing that the database knew was of ${toTimestamp(known_until_at)}.`,
    ...silentAgents.map((agent) => `agent ${agent}: has not told yet what it holds`),
    ...(lines.length === 0 ? ['No difference is known so far.'] : lines),
    'A newer backup is better than any repair: if there is one, restore it. Otherwise: dc-coordinator admin safe-mode resolve',
  ].join('\n');
}
