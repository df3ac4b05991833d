/** What agents and the coordinator say to each other. Bodies only; orders and records have files of their own. */
import { Type, type Static } from 'typebox';
import { AGENT_PERMISSIONS } from '../delegation/delegation.ts';
import { ORDER_KINDS } from '../orders/order.ts';
import { Explanation } from './explanation.ts';
import { closed, CompactJws, nullable, plainText, PublicKey, Timestamp, Uuid } from './schema-parts.ts';

export const RegisterAgent = closed({
  delegation: Type.String({
    ...CompactJws,
    description: 'A dc-delegation JWS: the setup token’s key for this agent key',
  }),
  label: Type.Optional(plainText({ maxLength: 64 })),
});
export const Registration = closed({
  agent: PublicKey,
  provider_pubkey: PublicKey,
  pool_id: Uuid,
  permissions: Type.Array(Type.Enum([...AGENT_PERMISSIONS])),
  delegation_expires_at: nullable(Timestamp),
  coordinator_key: PublicKey,
  key_rotations: Type.Optional(
    Type.Array(CompactJws, {
      description: 'What leads from the key of the grant to the coordinator’s present one',
    }),
  ),
  environment: Type.String(),
  heartbeat_interval_ms: Type.Integer(),
});
export type WireRegistration = Static<typeof Registration>;

export const HeldEvidence = closed(
  {
    checkpoint: Type.Optional(CompactJws),
    order: Type.Optional(CompactJws),
  },
  {
    description:
      'The newest receipt and the newest order that this agent has of the coordinator. They show a coordinator that ' +
      'was restored from an older backup what it does not know any more',
  },
);
export type WireHeldEvidence = Static<typeof HeldEvidence>;

export const Heartbeat = closed({
  version: plainText({ maxLength: 64 }),
  journal_id: Type.Optional(
    Type.String({ maxLength: 64, description: 'Tells two agents with one key apart' }),
  ),
  capabilities: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.Unknown())),
  capacity: Type.Optional(
    closed(
      {
        cpu: Type.Number({ minimum: 0, maximum: 1e9 }),
        memory_mb: Type.Number({ minimum: 0, maximum: 1e12 }),
        disk_gb: Type.Number({ minimum: 0, maximum: 1e12 }),
        instances: Type.Integer({ minimum: 0, maximum: 1e9 }),
      },
      { description: 'Room for more, where no statement of it is signed' },
    ),
  ),
  capacity_statement: Type.Optional(
    Type.String({
      ...CompactJws,
      description:
        'A dc-capacity JWS by the agent’s key: room for more, with an expiry, as the backend was when the agent last ' +
        'looked. It stands instead of `capacity`, and is bound to `capacity_includes`',
    }),
  ),
  capacity_includes: Type.Optional(
    Type.Array(Uuid, {
      maxItems: 10_000,
      description: 'Contracts whose instances were at the backend at that look; running ones unless given',
    }),
  ),
  draining: Type.Optional(Type.Boolean({ description: 'Takes no new work' })),
  maintenance_until: Type.Optional(Timestamp),
  healthy: Type.Optional(
    Type.Boolean({ description: 'False while the backend does not work: nothing is sold' }),
  ),
  running_contracts: Type.Array(Uuid, { maxItems: 10_000 }),
  held: Type.Optional(HeldEvidence),
  in_question: Type.Optional(
    Type.Array(Uuid, {
      maxItems: 1_000,
      description: 'Contracts whose instances carry the provider’s seal and that this agent has no order for',
    }),
  ),
  blocked: Type.Optional(
    Type.Array(Explanation, { maxItems: 100, description: 'Contracts that do not go on, and why' }),
  ),
});
export type WireHeartbeat = Static<typeof Heartbeat>;
export const HeartbeatAnswer = closed({
  server_time: Timestamp,
  next_interval_ms: Type.Integer(),
  open_work: Type.Integer({ description: 'Work items that this agent could lease now' }),
  records_held: Type.Integer({ description: 'The highest sequence number up to which every record is held' }),
  key_rotations: Type.Optional(
    Type.Integer({ description: 'How many announcements GET /coordinator has in `key_rotations`' }),
  ),
  safe_mode: Type.Optional(
    closed(
      { since: Timestamp, orders_after: Timestamp },
      {
        description:
          'The coordinator acts on nothing. It asks for the newest order of each live contract, and of each that had ' +
          'one after this time, by POST /agents/held-orders',
      },
    ),
  ),
  held_elsewhere: Type.Optional(
    Type.Array(Uuid, {
      description: 'Of `in_question`: contracts that another agent of the provider answers for',
    }),
  ),
});
export type WireHeartbeatAnswer = Static<typeof HeartbeatAnswer>;

export const LeaseWork = closed({
  max: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 10 })),
  held: Type.Optional(HeldEvidence),
});
/**
 * A lease lasts at most so long until it is renewed for the first time. One whose answer nobody got or wrote down (the
 * line broke, the agent was killed) can then be had again soon. It must run out first: whether the one who has it
 * lives, nobody can tell from a second one that asks with the same key.
 */
export const FIRST_LEASE_MS_MAX = 8_000;
export const Lease = closed({
  order_id: Uuid,
  order: CompactJws,
  contract_id: Uuid,
  kind: Type.Enum([...ORDER_KINDS]),
  epoch: Type.Integer(),
  expires_at: Timestamp,
  ttl_ms: Type.Integer({ description: 'Short at first: a renewal gives the whole time' }),
});
export type WireLease = Static<typeof Lease>;
export const Leases = closed({ leases: Type.Array(Lease) });

export const RenewLease = closed({ epoch: Type.Integer({ minimum: 1 }) });
export const RenewedLease = closed({ epoch: Type.Integer(), expires_at: Timestamp, ttl_ms: Type.Integer() });

export const RETURN_CODES = [
  'capacity',
  'unsupported',
  'maintenance',
  'backend_unavailable',
  'refused',
] as const;
/** The longest `detail` of a hand-back. */
export const RETURN_DETAIL_MAX = 500;
export const ReturnWork = closed({
  epoch: Type.Integer({ minimum: 1 }),
  code: Type.Enum([...RETURN_CODES]),
  detail: plainText({ maxLength: RETURN_DETAIL_MAX }),
  nothing_made: Type.Boolean({
    description: 'True only where the agent knows that it made nothing for this contract',
  }),
});
export type WireReturnWork = Static<typeof ReturnWork>;

export const RECORDS_MAX = 500;
export const SubmitRecord = closed({ record: CompactJws });
export const SubmitRecords = closed({
  records: Type.Array(CompactJws, { minItems: 1, maxItems: RECORDS_MAX }),
  held: Type.Optional(HeldEvidence),
});
export const HELD_ORDERS_MAX = 500;
export const HeldOrders = closed({
  orders: Type.Array(CompactJws, { maxItems: HELD_ORDERS_MAX }),
  is_last: Type.Boolean({ description: 'True for the last part of what the agent holds' }),
});
export const HeldOrdersAnswer = closed({
  unknown_contracts: Type.Array(Type.String(), {
    description: 'Contracts of this agent that the coordinator does not know: nothing is done about them',
  }),
});
export const RecordResult = closed({
  seq: Type.Integer(),
  outcome: Type.Enum(['applied', 'already_applied', 'not_applied']),
  code: Type.Optional(Type.String({ description: 'Why it was not applied (LEASE_STALE, …)' })),
});
export type WireRecordResult = Static<typeof RecordResult>;
export const RecordAnswer = closed({ result: RecordResult, checkpoint: CompactJws });
export const RecordsAnswer = closed({
  results: Type.Array(RecordResult),
  checkpoint: Type.String({ ...CompactJws, description: 'Signed for the last record of the batch' }),
});

export const PendingProvision = closed({
  order_id: Uuid,
  contract_id: Uuid,
  offering_id: Uuid,
  kind: Type.Enum([...ORDER_KINDS]),
  since: Timestamp,
  leased_to: nullable(PublicKey),
});
