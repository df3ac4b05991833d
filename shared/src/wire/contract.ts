/** Contracts on the wire. */
import { Type, type Static } from 'typebox';
import { CONTRACT_STATES, EXTENSION_STATES, PAYMENT_STATES, RELEASE_STATES } from '../state/contract.ts';
import { TokenPrice } from './rate.ts';
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
import { UsageCap } from './usage.ts';

/** What of an instance's credentials can be changed; these are kinds of orders too. */
export const CREDENTIAL_KINDS = ['reset_password', 'rotate_ssh_key'] as const;
/** How it is known that a new password works. */
export const PASSWORD_PROOFS = ['login', 'no_password_login'] as const;
export type PasswordProof = (typeof PASSWORD_PROOFS)[number];
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number];

export const isCredentialKind = (kind: unknown): kind is CredentialKind =>
  (CREDENTIAL_KINDS as readonly unknown[]).includes(kind);

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
    token_price: Type.Optional(TokenPrice),
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
  refund_approval: Type.Optional(
    Type.Union(
      [
        closed({
          status: oneOf(['waiting', 'declined'] as const),
          amount: MoneySchema,
          since: Timestamp,
          reason: nullable(Type.String()),
        }),
        Type.Null(),
      ],
      {
        description:
          'A refund that waits for an admin’s approval because of its size, or went into the wallet because that was ' +
          'declined; null where nothing of the kind is to be told. Only once the contract has ended',
      },
    ),
  ),
  last_error: nullable(closed({ code: Type.String(), detail: Type.String(), remedy: Type.String() })),
  credentials: Type.Optional(
    closed(
      {
        pending: nullable(closed({ kind: oneOf(CREDENTIAL_KINDS), since: Timestamp })),
        password_made_at: nullable(Timestamp),
        password_until: nullable(Timestamp),
        password_in_doubt: Type.Boolean({
          description: 'A later reset ended without success: whether this password still works is not known',
        }),
      },
      {
        description:
          'What becomes of the password and the key: a change that is under way, and until when the latest password ' +
          'can be read from GET /contracts/{id}/credentials. Missing until a change was asked for, and in lists',
      },
    ),
  ),
  notice: Type.Optional(
    nullable(
      closed({
        code: oneOf(['draining', 'maintenance'] as const),
        detail: Type.String(),
        until: nullable(Timestamp),
      }),
    ),
  ),
  may_extend: Type.Optional(
    Type.Union([closed({ price_per_hour: MoneySchema, hours_max: Type.Integer() }), Type.Null()], {
      description: 'What more time costs, and how much of it can be had; null while none can',
    }),
  ),
  extensions: Type.Optional(
    Type.Array(
      closed({
        id: Uuid,
        hours: Type.Integer(),
        price: MoneySchema,
        status: oneOf(EXTENSION_STATES),
        checkout_url: Type.Optional(nullable(Type.String({ description: 'Where it can be paid' }))),
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
  refund_to: Type.Optional(
    oneOf(['source', 'wallet'] as const, {
      description:
        'Where money goes that comes back, or that comes too late: the way it came (`source`, unless said ' +
        'otherwise), or into the wallet',
    }),
  ),
  usage_cap: Type.Optional(UsageCap),
  recipe_version_id: Type.Optional(
    Type.Null({ description: 'There are no recipes yet: only null is taken' }),
  ),
});
export type WireCreateContract = Static<typeof CreateContract>;

export const ExtendContract = closed({ hours: Type.Integer({ minimum: 1, maximum: 87_600 }) });
export const CancelContract = closed({ reason: Type.Optional(plainText({ maxLength: 500 })) });
export const ResetPassword = closed({});
export const RotateSshKey = closed({
  ssh_public_key: Type.String({
    maxLength: 16_384,
    description: 'Takes the place of the key of the contract',
  }),
});

export const SealedBoxSchema = closed({
  public_key: Type.String({ ...PublicKey, description: 'The account key whose holder can open it' }),
  enc: Type.String({ description: 'base64url: the encapsulated key' }),
  ciphertext: Type.String({ description: 'base64url' }),
});
export const Credentials = closed({
  contract_id: Uuid,
  user: Type.String({ description: 'Whose password it is' }),
  made_at: Timestamp,
  expires_at: Timestamp,
  proof: Type.Enum([...PASSWORD_PROOFS], {
    description:
      '`login`: the agent logged in with it, and a wrong one was refused. `no_password_login`: it is set, and the ' +
      'SSH server of the instance takes no passwords, so that nobody could try it',
  }),
  algorithm: Type.String({
    description:
      'HPKE (RFC 9180) to the X25519 form of an account’s Ed25519 key (RFC 7748, 4.1). `info` is ' +
      '"dc-credential-v1", the AAD the contract’s id; inside is the password as UTF-8',
  }),
  boxes: Type.Array(SealedBoxSchema, { description: 'One for each key of the renter’s account' }),
});
export type WireCredentials = Static<typeof Credentials>;

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
