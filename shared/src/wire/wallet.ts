/** Wallets on the wire. */
import { Type, type Static } from 'typebox';
import { closed, MoneySchema, nullable, Timestamp, Uuid } from './schema-parts.ts';

export const TopUp = closed({
  id: Uuid,
  amount: MoneySchema,
  payment: closed({
    method: Type.String(),
    status: Type.Enum(['pending', 'processing', 'succeeded', 'failed'], {
      description: '`processing`: paid in a way that takes days to arrive',
    }),
    checkout_url: nullable(Type.String()),
  }),
  created_at: Timestamp,
});
export type WireTopUp = Static<typeof TopUp>;

export const Wallet = closed({
  balances: Type.Array(MoneySchema, { description: 'One a currency; none where nothing was ever put in' }),
  top_ups: Type.Array(TopUp, { description: 'The newest first, fifty at most' }),
});
export type WireWallet = Static<typeof Wallet>;

export const AskTopUp = closed({ amount: MoneySchema, payment_method: Type.String({ maxLength: 32 }) });
