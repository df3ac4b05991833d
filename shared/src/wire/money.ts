/** What providers are owed, payouts, statements and the ledger, on the wire. */
import { Type, type Static } from 'typebox';
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

const Hash = nullable(
  Type.String({ pattern: '^[0-9a-f]{64}$', description: 'The hash of a record in the agent’s evidence' }),
);
const ReleaseNumber = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'The number of a release; it only rises',
});

/** What one provider is owed in one currency: the releases that no payout has. */
export const PaymentRelease = closed({
  provider_pubkey: PublicKey,
  total: MoneySchema,
  release_count: Type.Integer(),
  through: ReleaseNumber,
  oldest_at: Timestamp,
  newest_at: Timestamp,
});

export const PAYOUT_STATES = ['requested', 'sent', 'confirmed', 'failed'] as const;
export type PayoutState = (typeof PAYOUT_STATES)[number];

/** Pays exactly what a listing showed: its `total` and `through` are repeated, and refused where they do not fit. */
export const CreatePayout = closed({
  provider_pubkey: PublicKey,
  total: MoneySchema,
  through: ReleaseNumber,
  route: Type.Optional(
    Type.String({
      pattern: '^[a-z0-9_-]{1,32}$',
      default: 'manual',
      description: 'How it is paid: the name of the processor that the money leaves',
    }),
  ),
  destination: Type.Optional(plainText({ minLength: 1, maxLength: 200, description: 'A wallet or account' })),
  reference: Type.Optional(
    plainText({
      minLength: 1,
      maxLength: 200,
      description: 'The transfer’s own id, where it has been sent already',
    }),
  ),
});
export type WireCreatePayout = Static<typeof CreatePayout>;

export const SentPayout = closed({ reference: plainText({ minLength: 1, maxLength: 200 }) });
export const FailedPayout = closed({ reason: plainText({ minLength: 1, maxLength: 500 }) });

export const Payout = closed({
  id: Uuid,
  key: Type.String({ description: 'What it pays for; a transfer carries it, so that it is made once' }),
  provider_pubkey: PublicKey,
  amount: MoneySchema,
  release_count: Type.Integer(),
  route: Type.String(),
  state: Type.Enum([...PAYOUT_STATES]),
  destination: nullable(Type.String()),
  reference: nullable(Type.String()),
  failure: nullable(Type.String()),
  requested_by: PublicKey,
  requested_at: Timestamp,
  sent_at: nullable(Timestamp),
  settled_at: nullable(Timestamp),
});
export type WirePayout = Static<typeof Payout>;

export const PayoutsQuery = closed({
  ...ListQuery,
  state: Type.Optional(Type.Enum([...PAYOUT_STATES])),
  provider_pubkey: Type.Optional(PublicKey),
});

export const StatementQuery = closed({
  ...ListQuery,
  from: Type.Optional(Timestamp),
  to: Type.Optional(Timestamp),
});

export const RELEASE_KINDS = ['setup_fee', 'time', 'usage', 'reversal'] as const;

/** One release to a provider, with the first and last record that prove its time. */
export const StatementLine = closed({
  number: ReleaseNumber,
  at: Timestamp,
  kind: Type.Enum([...RELEASE_KINDS], {
    description:
      '`usage`: use beyond the rent, paid from the renter’s wallet; it is not part of what was paid for the contract',
  }),
  contract_id: Uuid,
  amount: MoneySchema,
  from: nullable(Timestamp),
  to: nullable(Timestamp),
  proved_ms: Type.Integer(),
  first_proof: Hash,
  last_proof: Hash,
  payout_id: nullable(Uuid),
});

/** A provider's money in one currency. */
export const StatementTotal = closed({
  earned: MoneySchema,
  release_count: Type.Integer(),
  paid_out: MoneySchema,
  in_flight: MoneySchema,
  payable: MoneySchema,
});

export const Statement = closed({
  provider_pubkey: PublicKey,
  from: nullable(Timestamp),
  to: nullable(Timestamp),
  totals: Type.Array(StatementTotal),
  items: Type.Array(StatementLine),
  next_cursor: nullable(Type.String()),
});

/** Where a contract's money is, and for what; `paid` is the sum of the others. */
export const ContractStatement = closed({
  contract_id: Uuid,
  paid: MoneySchema,
  released: MoneySchema,
  credited: MoneySchema,
  refunded: MoneySchema,
  held: MoneySchema,
  escrow: MoneySchema,
  releases: Type.Array(StatementLine),
  credits: Type.Array(
    closed({
      from: Timestamp,
      to: Timestamp,
      reason: Type.Enum(['unproved', 'maintenance']),
      amount: MoneySchema,
      proof_before: Hash,
      proof_after: Hash,
    }),
  ),
  refunds: Type.Array(
    closed({ key: Type.String(), amount: MoneySchema, at: Timestamp, confirmed_at: nullable(Timestamp) }),
  ),
});

export const LedgerQuery = closed({
  ...ListQuery,
  contract_id: Type.Optional(Uuid),
  account: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
});

export const LedgerSet = closed({
  id: Uuid,
  at: Timestamp,
  cause: Type.String(),
  kind: Type.String(),
  contract_id: nullable(Type.String()),
  postings: Type.Array(closed({ account: Type.String(), amount: MoneySchema })),
});
