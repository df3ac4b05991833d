/** Contracts on the wire. */
import { Type, type Static } from 'typebox';
import { CONTRACT_STATES, EXTENSION_STATES, PAYMENT_STATES, RELEASE_STATES } from '../state/contract.ts';
import {
  closed,
  ListQuery,
  MoneySchema,
  nullable,
  plainText,
  PublicKey,
  Timestamp,
  Uuid,
} from './schema-parts.ts';

const oneOf = <T extends string>(values: readonly T[], options: { description?: string } = {}) =>
  Type.Enum([...values], options);

export const ContractStateSchema = oneOf(CONTRACT_STATES);

export const Access = closed({
  host: Type.String(),
  port: Type.Integer(),
  user: Type.String(),
  ssh_command: Type.String({ description: 'To paste into a terminal as it is' }),
  host_key_fingerprint: Type.String({ description: 'SHA256:…, as ssh shows it' }),
  host_key: Type.String({ description: 'The host’s public key as in a known_hosts file, without the host' }),
  web_url: nullable(Type.String()),
});
export type WireAccess = Static<typeof Access>;

export const Stage = closed({
  name: Type.String(),
  started_at: Timestamp,
  ended_at: nullable(Timestamp),
  duration_ms: nullable(Type.Integer()),
});

export const Contract = closed({
  id: Uuid,
  offering_id: Uuid,
  offering_title: Type.String(),
  provider_pubkey: PublicKey,
  state: ContractStateSchema,
  release: oneOf(RELEASE_STATES),
  version: Type.Integer({ description: 'Rises with every change; the id of the event that carried it' }),
  duration_hours: Type.Integer(),
  operating_system: Type.String(),
  total: MoneySchema,
  payment: closed({
    method: Type.String(),
    status: oneOf(PAYMENT_STATES, {
      description:
        'What the payment provider has confirmed. It becomes `refunded` when the provider confirms the refund, a ' +
        'moment after `refunded` of the contract tells how much was decided to be sent back',
    }),
    checkout_url: nullable(Type.String()),
  }),
  created_at: Timestamp,
  paid_at: nullable(Timestamp),
  active_at: nullable(Timestamp),
  ends_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
  access: nullable(Access),
  verified_by: nullable(Type.Enum(['coordinator', 'agent'])),
  stages: Type.Array(Stage),
  timeline: Type.Array(
    closed({
      at: Timestamp,
      from: nullable(Type.String()),
      to: Type.String(),
      actor: Type.String(),
      reason: Type.String(),
    }),
  ),
  refund_if_cancelled_now: nullable(MoneySchema),
  refunded: Type.Union([MoneySchema, Type.Null()], {
    description: 'How much was decided to be sent back; `payment.status` tells whether that is confirmed',
  }),
  last_error: nullable(closed({ code: Type.String(), detail: Type.String(), remedy: Type.String() })),
  extensions: Type.Optional(
    Type.Array(
      closed({
        id: Uuid,
        hours: Type.Integer(),
        price: MoneySchema,
        status: oneOf(EXTENSION_STATES),
        created_at: Timestamp,
      }),
      { description: 'More time that was asked for, oldest first; it counts once it is paid' },
    ),
  ),
});
export type WireContract = Static<typeof Contract>;

export const CreateContract = closed({
  offering_id: Uuid,
  duration_hours: Type.Integer({ minimum: 1, maximum: 87_600 }),
  ssh_public_key: Type.String({ maxLength: 16_384 }),
  payment_method: Type.String({ maxLength: 32 }),
  operating_system: Type.Optional(plainText({ maxLength: 64 })),
  recipe_version_id: Type.Optional(
    Type.Null({ description: 'There are no recipes yet: only null is taken' }),
  ),
});
export type WireCreateContract = Static<typeof CreateContract>;

export const ExtendContract = closed({ hours: Type.Integer({ minimum: 1, maximum: 87_600 }) });
export const CancelContract = closed({ reason: Type.Optional(plainText({ maxLength: 500 })) });
export const PauseContract = closed({ reason: Type.Optional(plainText({ maxLength: 500 })) });
export const RespondContract = closed({
  accept: Type.Boolean(),
  reason: Type.Optional(plainText({ maxLength: 500 })),
});

export const ContractQuery = closed({ ...ListQuery, state: Type.Optional(ContractStateSchema) });

export const HealthReport = closed({
  at: Timestamp,
  status: Type.String(),
  latency_ms: nullable(Type.Number()),
  agent: PublicKey,
  seq: Type.Integer(),
});
