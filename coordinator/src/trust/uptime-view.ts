/** How each of a provider's agents was there in the last 30 days, from heartbeats and signed announcements. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireUptime } from '@dc/shared/wire/trust';
import type { Reader } from '../database/database.ts';
import type { Presence } from '../offerings/pool-room.ts';
import { listAgents } from '../offerings/provider-store.ts';
import { announcedTimes, judgeUptime, type Announcement, type Span } from './uptime-rules.ts';

export const WINDOW_MS = 30 * 24 * 3_600_000;
const SHOWN_MAX = 50;

type AgentRow = Awaited<ReturnType<typeof listAgents>>[number];

/** The provider's uptime; agents that were revoked before that time are left out. */
export async function viewUptime(reader: Reader, pubkey: string, presence: Presence): Promise<WireUptime> {
  const window = { from: presence.now - WINDOW_MS, to: presence.now };
  const agents: WireUptime['agents'] = [];
  for (const agent of await listAgents(reader, pubkey)) {
    if ((agent.revoked_at ?? Infinity) <= window.from) continue;
    agents.push(await viewAgent(reader, agent, { window, presence }));
  }
  return { from: toTimestamp(window.from), to: toTimestamp(window.to), agents };
}

async function viewAgent(
  reader: Reader,
  agent: AgentRow,
  { window, presence }: { window: Span; presence: Presence },
): Promise<WireUptime['agents'][number]> {
  const { public_key, label, first_heartbeat_at: first, last_heartbeat_at: last } = agent;
  const known = {
    from: Math.max(window.from, first ?? Infinity),
    to: Math.min(window.to, agent.revoked_at ?? Infinity),
  };
  const past = await listOutages(reader, public_key, window.from);
  const isAway = last !== null && last <= presence.now - presence.offlineAfterMs && agent.revoked_at === null;
  const outages = isAway ? [...past, { from: last, to: null }] : past;
  const announced = announcedTimes(await listAnnouncements(reader, public_key));
  const recent = announced.filter(({ to }) => (to ?? Infinity) > window.from);
  const closed = (spans: readonly { from: number; to: number | null }[]): Span[] =>
    spans.map(({ from, to }) => ({ from, to: to ?? window.to }));
  const judged =
    first === null
      ? { knownMs: 0, outageMs: 0, maintenanceMs: 0, uptime: null }
      : judgeUptime(known, closed(outages), closed(recent));
  return {
    public_key,
    label,
    since: first === null || known.from >= known.to ? null : toTimestamp(known.from),
    uptime: judged.uptime,
    known_ms: judged.knownMs,
    outage_ms: judged.outageMs,
    maintenance_ms: judged.maintenanceMs,
    outages: newest(outages).map(toInterval),
    maintenance: newest(recent).map((one) => ({ ...toInterval(one), kind: one.kind, record_seq: one.seq })),
  };
}

const newest = <T>(items: readonly T[]): T[] => items.slice(-SHOWN_MAX).reverse();

const toInterval = ({ from, to }: { from: number; to: number | null }) => ({
  from: toTimestamp(from),
  to: to === null ? null : toTimestamp(to),
});

async function listOutages(reader: Reader, agentKey: string, since: number) {
  const rows = await reader
    .selectFrom('outages')
    .select(['from_at', 'to_at'])
    .where('agent_key', '=', agentKey)
    .where('to_at', '>', since)
    .orderBy('from_at')
    .execute();
  return rows.map(({ from_at: from, to_at: to }): { from: number; to: number | null } => ({ from, to }));
}

async function listAnnouncements(reader: Reader, agentKey: string): Promise<Announcement[]> {
  const rows = await reader
    .selectFrom('availability')
    .select(['seq', 'received_at', 'draining', 'maintenance_until_at'])
    .where('agent_key', '=', agentKey)
    .orderBy('seq')
    .execute();
  return rows.map((row) => ({
    seq: row.seq,
    receivedAt: row.received_at,
    draining: row.draining === 1,
    maintenanceUntil: row.maintenance_until_at,
  }));
}
