/** Usage-based billing on the wire: prices of offerings, events of agents, and what comes of them. */
import { Type, type Static } from 'typebox';
import { closed, MoneySchema, nullable, Timestamp, Uuid } from './schema-parts.ts';

export const PRICING_MODELS = ['flat', 'usage'] as const;
export const BILLING_UNITS = ['minute', 'hour', 'day', 'month'] as const;
export type BillingUnit = (typeof BILLING_UNITS)[number];

export const PricingModel = Type.Enum([...PRICING_MODELS], {
  description:
    '`flat`: the rent is all. `usage`: what is used beyond the included units costs extra, up to the renter’s cap',
});
export const BillingUnitSchema = Type.Enum([...BILLING_UNITS], {
  description: 'What a unit of use is; a month has 30 days',
});
export const UnitPrice = closed(MoneySchema.properties, {
  description: 'The price of each unit beyond the included ones',
});
export const IncludedUnits = Type.Integer({
  minimum: 0,
  maximum: 1_000_000_000_000,
  description: 'Units that the rent includes every 30 days; a shorter billing period includes its share',
});
export const UsageCap = closed(MoneySchema.properties, {
  description: 'The most that use beyond the rent may cost in a billing period (30 days from the start)',
});

const Units = Type.String({
  pattern: '^(0|[1-9][0-9]{0,18})$',
  description: 'Billing units in nano-units: "2500000000" is two and a half',
});

/** Events in one call. */
export const USAGE_EVENTS_MAX = 500;

const EventId = Type.String({
  pattern: '^[A-Za-z0-9_.:-]{1,64}$',
  description: 'The reporter’s own name for the event, unique in the contract: again is a success',
});

export const UsageEvent = Type.Union([
  closed(
    { id: EventId, kind: Type.Literal('heartbeat'), at: Timestamp },
    { description: 'In use at `at`: two that are at most ten minutes apart cover the time between them' },
  ),
  closed(
    { id: EventId, kind: Type.Literal('session'), at: Timestamp, ended_at: Timestamp },
    { description: 'In use from `at` to `ended_at`, a day at most' },
  ),
  closed(
    {
      id: EventId,
      kind: Type.Literal('counter'),
      at: Timestamp,
      units_e9s: Type.String({ pattern: '^[1-9][0-9]{0,17}$', description: 'Billing units, in nano-units' }),
    },
    { description: 'Units that were counted in another way' },
  ),
]);
export type WireUsageEvent = Static<typeof UsageEvent>;

export const ReportUsage = closed({
  events: Type.Array(UsageEvent, { minItems: 1, maxItems: USAGE_EVENTS_MAX }),
});

export const UsageReported = closed({
  contract_id: Uuid,
  results: Type.Array(
    closed({
      id: Type.String(),
      outcome: Type.Enum(['recorded', 'already_recorded', 'refused']),
      code: Type.Optional(Type.String({ description: 'Why it was refused' })),
    }),
  ),
  cap_reached: Type.Boolean({
    description: 'More use in this billing period costs the renter nothing, and earns nothing',
  }),
});
export type WireUsageReported = Static<typeof UsageReported>;

export const UsageCharge = closed({
  id: Uuid,
  from: Timestamp,
  to: Timestamp,
  overage_units_e9s: Units,
  amount: MoneySchema,
  status: Type.Enum(['paid', 'unpaid']),
  created_at: Timestamp,
  paid_at: nullable(Timestamp),
});
export type WireUsageCharge = Static<typeof UsageCharge>;

export const Usage = closed({
  contract_id: Uuid,
  pricing_model: PricingModel,
  billing_unit: BillingUnitSchema,
  price_per_unit: MoneySchema,
  included_units: Type.Integer(),
  cap: MoneySchema,
  events: Type.Integer({ description: 'How many were recorded' }),
  last_event_at: nullable(Timestamp),
  period: nullable(
    closed(
      {
        from: Timestamp,
        to: Timestamp,
        used_ms: Type.Integer({ description: 'Time in use' }),
        counted_units_e9s: Units,
        used_units_e9s: Units,
        included_units_e9s: Units,
        overage_units_e9s: Units,
        charge_so_far: MoneySchema,
        estimated_charge: closed(MoneySchema.properties, {
          description: 'What the whole period will cost beyond the rent if its use goes on as it did',
        }),
        cap_reached: Type.Boolean(),
      },
      { description: 'The billing period that runs, or the last one; null before the contract was active' },
    ),
  ),
  charges: Type.Array(UsageCharge, {
    description: 'What earlier periods cost beyond the rent, oldest first',
  }),
  unpaid: closed(MoneySchema.properties, {
    description: 'What the wallet could not pay yet: it is taken as soon as it is there',
  }),
});
export type WireUsage = Static<typeof Usage>;
