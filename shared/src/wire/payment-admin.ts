/** What admins see of payments, on the wire. */
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

export const Dispute = closed({
  method: Type.String(),
  id: Type.String({ description: 'The payment provider’s' }),
  contract_id: nullable(Uuid),
  payment: nullable(
    Type.String({ description: 'What the disputed payment was for; null where that is not known' }),
  ),
  status: Type.Enum(['warning', 'open', 'won', 'lost']),
  funds: Type.Enum(['none', 'withdrawn', 'reinstated']),
  amount: MoneySchema,
  reason: Type.String(),
  evidence_due_at: nullable(Timestamp),
  created_at: Timestamp,
  closed_at: nullable(Timestamp),
  remedy: Type.String({ description: 'What a person has to do' }),
});
export type WireDispute = Static<typeof Dispute>;

export const KeptEvent = closed({
  method: Type.String(),
  id: Type.String(),
  type: Type.String(),
  outcome: Type.Enum(['unknown', 'mismatch'], {
    description: '`unknown`: it belongs to no payment of ours; `mismatch`: it is not what was asked for',
  }),
  detail: nullable(Type.String()),
  payment: nullable(Type.String()),
  received_at: Timestamp,
  remedy: Type.String({ description: 'What a person has to do' }),
});
export type WireKeptEvent = Static<typeof KeptEvent>;

export const RefundRequest = closed({
  id: Uuid,
  refund: Type.String({ description: 'The key of the refund: what it is for' }),
  contract_id: Uuid,
  renter_pubkey: PublicKey,
  method: Type.String({ description: 'How it was paid, and goes back if approved' }),
  amount: MoneySchema,
  cause: Type.String({ description: 'Why it was decided: how the contract ended, or what the payment was' }),
  bound: Type.Enum(['per_refund', 'per_renter_a_day', 'per_day'], { description: 'What it is above' }),
  status: Type.Enum(['waiting', 'approved', 'declined', 'settled'], {
    description:
      '`declined`: the money is in the renter’s wallet. `settled`: it went back at the payment provider without a decision',
  }),
  asked_at: Timestamp,
  decided_at: nullable(Timestamp),
  decided_by: nullable(Type.String({ description: 'The admin’s account, or `command line`' })),
  reason: nullable(Type.String()),
  sent_at: nullable(Timestamp),
});
export type WireRefundRequest = Static<typeof RefundRequest>;

export const RefundRequestsQuery = closed({
  ...ListQuery,
  status: Type.Optional(
    Type.Enum(['waiting', 'approved', 'declined', 'settled'], {
      description: 'Those that wait come oldest first, all others newest first',
    }),
  ),
});
export const ApproveRefund = closed({ reason: Type.Optional(plainText({ minLength: 1, maxLength: 500 })) });
export const DeclineRefund = closed({
  reason: plainText({ minLength: 1, maxLength: 500, description: 'The renter reads it' }),
});

export const RefundCall = closed({
  id: Uuid,
  refund: Type.String(),
  contract_id: Uuid,
  key: Type.String({ description: 'The idempotency key that the payment provider got' }),
  method: Type.String(),
  amount: MoneySchema,
  asked_at: Timestamp,
  answered_at: nullable(Timestamp),
  outcome: nullable(
    Type.Enum(['pending', 'succeeded', 'failed', 'error'], {
      description: 'Null where no answer reached us: it is asked again with the same key',
    }),
  ),
  external_id: nullable(Type.String()),
  detail: nullable(Type.String()),
});
export const RefundCallsQuery = closed({ ...ListQuery, contract_id: Type.Optional(Uuid) });
