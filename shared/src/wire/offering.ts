/** Offerings and providers on the wire. */
import { Type, type Static } from 'typebox';
import { AGENT_PERMISSIONS } from '../delegation/delegation.ts';
import {
  closed,
  CompactJws,
  ListQuery,
  MoneySchema,
  nullable,
  plainLines,
  plainText,
  PublicKey,
  Timestamp,
  Uuid,
} from './schema-parts.ts';
import { BillingUnitSchema, IncludedUnits, PricingModel, UnitPrice } from './usage.ts';

const Country = Type.String({ pattern: '^[A-Z]{2}$', description: 'ISO 3166-1 alpha-2' });
const Amount = Type.String({ pattern: '^(0|[1-9][0-9]{0,17})$' });

export const Offering = closed({
  id: Uuid,
  title: Type.String(),
  description: Type.String(),
  provider: closed({ pubkey: PublicKey, name: Type.String() }),
  cpu: Type.Integer(),
  memory_mb: Type.Integer(),
  disk_gb: Type.Integer(),
  country: Country,
  operating_systems: Type.Array(Type.String()),
  price_per_hour: MoneySchema,
  setup_fee: MoneySchema,
  min_hours: Type.Integer(),
  max_hours: Type.Integer(),
  pricing_model: Type.Optional(PricingModel),
  billing_unit: Type.Optional(BillingUnitSchema),
  price_per_unit: Type.Optional(UnitPrice),
  included_units: Type.Optional(IncludedUnits),
  in_stock: Type.Boolean({ description: 'A place is free and an agent that can serve it is online' }),
  out_of_stock: Type.Optional(
    Type.Enum(['sold_out', 'no_capacity', 'draining', 'unhealthy', 'offline', 'safe_mode'], {
      description:
        'Why it is not in stock: all places are taken; the provider has no room for it; its agents take no new work ' +
        '(draining or maintenance); their backends do not work; none of them was heard of lately; the coordinator sells nothing now',
    }),
  ),
});
export type WireOffering = Static<typeof Offering>;

export const OfferingQuery = closed({
  ...ListQuery,
  q: Type.Optional(Type.String({ maxLength: 100 })),
  country: Type.Optional(Country),
  provider: Type.Optional(PublicKey),
  min_cpu: Type.Optional(Type.Integer({ minimum: 0 })),
  min_memory_mb: Type.Optional(Type.Integer({ minimum: 0 })),
  max_price_e9s: Type.Optional(Amount),
  in_stock: Type.Optional(Type.Boolean()),
});

export const CreateOffering = closed({
  title: plainText({ minLength: 1, maxLength: 100 }),
  description: Type.Optional(plainLines({ maxLength: 2000 })),
  pool_id: Type.Optional(
    Type.String({
      ...Uuid,
      description: 'The pool that serves it; without one, any of the provider’s pools in `country`',
    }),
  ),
  cpu: Type.Integer({ minimum: 1, maximum: 1024 }),
  memory_mb: Type.Integer({ minimum: 16, maximum: 16_777_216 }),
  disk_gb: Type.Integer({ minimum: 1, maximum: 1_048_576 }),
  country: Country,
  operating_systems: Type.Array(plainText({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 20 }),
  price_per_hour: MoneySchema,
  setup_fee: MoneySchema,
  min_hours: Type.Integer({ minimum: 1, maximum: 87_600 }),
  max_hours: Type.Integer({ minimum: 1, maximum: 87_600 }),
  places: Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'How many can be rented at once' }),
  pricing_model: Type.Optional(PricingModel),
  billing_unit: Type.Optional(BillingUnitSchema),
  price_per_unit: Type.Optional(UnitPrice),
  included_units: Type.Optional(IncludedUnits),
});
export type WireCreateOffering = Static<typeof CreateOffering>;

export const Provider = closed({
  pubkey: PublicKey,
  name: Type.String(),
  auto_accept: Type.Boolean(),
  created_at: Timestamp,
  agents: Type.Array(
    closed({
      public_key: PublicKey,
      label: Type.String(),
      pool_id: Uuid,
      online: Type.Boolean(),
      last_heartbeat_at: nullable(Timestamp),
      version: nullable(Type.String()),
      draining: Type.Optional(Type.Boolean({ description: 'It takes no new work' })),
      healthy: Type.Optional(
        Type.Boolean({ description: 'False where it said that its backend does not work' }),
      ),
      maintenance_until: Type.Optional(nullable(Timestamp)),
      evidence: closed({
        records: Type.Integer(),
        gap_from_seq: nullable(Type.Integer()),
        fork_at_seq: nullable(Type.Integer()),
      }),
      unknown_contracts: Type.Optional(
        Type.Integer({
          description:
            'Contracts that it holds orders for and that the coordinator does not know any more: nothing is done ' +
            'about them, and their instances go on',
        }),
      ),
    }),
  ),
  safe_mode: Type.Optional(
    closed({ since: Timestamp }, { description: 'There while the coordinator acts on nothing' }),
  ),
});
export type WireProvider = Static<typeof Provider>;

export const CreateProvider = closed({
  name: plainText({ minLength: 1, maxLength: 100 }),
  auto_accept: Type.Optional(Type.Boolean({ default: true })),
});

export const Pool = closed({ id: Uuid, name: Type.String(), country: Country, created_at: Timestamp });
export const CreatePool = closed({ name: plainText({ minLength: 1, maxLength: 100 }), country: Country });

export const CreateGrant = closed({
  grant: Type.String({ ...CompactJws, description: 'A dc-grant JWS signed by the provider’s key' }),
});
export const Grant = closed({
  grant: CompactJws,
  setup_key: PublicKey,
  provider_pubkey: PublicKey,
  pool_id: Uuid,
  permissions: Type.Array(Type.Enum([...AGENT_PERMISSIONS])),
  expires_at: Timestamp,
  used: Type.Boolean(),
});
