/** What admins see of payments, on the wire. */
import { Type, type Static } from 'typebox';
import { closed, MoneySchema, nullable, Timestamp, Uuid } from './schema-parts.ts';

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
