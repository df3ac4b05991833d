/** What everybody may know of how a provider has served, and what the provider itself has to look at. */
import { Type, type Static } from 'typebox';
import { closed, nullable, PublicKey, Timestamp, Uuid } from './schema-parts.ts';
import { Explanation } from './explanation.ts';

const Interval = { from: Timestamp, to: nullable(Timestamp) };

export const Uptime = closed({
  from: Timestamp,
  to: Timestamp,
  agents: Type.Array(
    closed({
      public_key: PublicKey,
      label: Type.String(),
      since: Type.Union([Timestamp, Type.Null()], {
        description: 'From when on anything is known within this time; null where nothing is',
      }),
      uptime: Type.Union([Type.Number(), Type.Null()], {
        description:
          'The share of the time, 0 to 1, in which its heartbeats came. Announced maintenance is left out of it. ' +
          'Null without data',
      }),
      known_ms: Type.Integer({ description: 'The time that `uptime` is a share of' }),
      outage_ms: Type.Integer({ description: 'Without heartbeats, outside of maintenance' }),
      maintenance_ms: Type.Integer({ description: 'Announced before it came' }),
      outages: Type.Array(closed(Interval), { description: 'The latest, newest first' }),
      maintenance: Type.Array(
        closed({
          ...Interval,
          kind: Type.Enum(['draining', 'maintenance']),
          record_seq: Type.Integer({ description: 'The agent’s signed record that announced it' }),
        }),
        { description: 'The latest, newest first. `to` is null where no end is announced' },
      ),
    }),
  ),
});
export type WireUptime = Static<typeof Uptime>;

export const ProviderMetrics = closed({
  from: Timestamp,
  to: Timestamp,
  contracts: closed(
    {
      ordered: Type.Integer(),
      delivered: Type.Integer(),
      rejected: Type.Integer(),
      failed: Type.Integer(),
      cancelled: Type.Integer(),
      completed: Type.Integer(),
    },
    { description: 'Those that were ordered in this time, by what has become of them' },
  ),
  delivery_ms: Type.Union(
    [closed({ count: Type.Integer(), median: Type.Integer(), p95: Type.Integer() }), Type.Null()],
    { description: 'From paid to a checked login; null where nothing was delivered' },
  ),
});
export type WireProviderMetrics = Static<typeof ProviderMetrics>;

export const Attention = closed({
  blocked: Type.Array(closed({ agent: PublicKey, said_at: Timestamp, explanation: Explanation }), {
    description: 'Contracts that an agent does not go on with, in the words of dc-agent why',
  }),
  destruction_paused: Type.Array(
    closed({ agent: PublicKey, waiting: Type.Integer(), since: Timestamp, command: Type.String() }),
  ),
  orphans: Type.Array(
    closed({
      agent: PublicKey,
      total: Type.Integer(),
      command: Type.String(),
      instances: Type.Array(
        closed({ id: Type.String(), contract_id: nullable(Type.String()), first_seen_at: Timestamp }),
      ),
    }),
  ),
  unserved_offerings: Type.Array(closed({ id: Uuid, title: Type.String(), out_of_stock: Type.String() }), {
    description: 'Offerings that nobody can rent although places are free',
  }),
  unserved_contracts: Type.Array(
    closed({ id: Uuid, state: Type.String(), since: Timestamp, detail: Type.String() }),
    { description: 'Paid orders that no agent took, of the last seven days' },
  ),
});
export type WireAttention = Static<typeof Attention>;
