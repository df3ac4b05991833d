/** Where providers want their money, on the wire. */
import { Type, type Static } from 'typebox';
import { closed, plainText, Timestamp, Uuid } from './schema-parts.ts';

const Route = Type.String({
  pattern: '^[a-z0-9_-]{1,32}$',
  description: 'How it is paid by itself: stripe_connect, icrc1',
});

export const CreatePayoutDestination = closed({
  route: Route,
  account: plainText({
    minLength: 1,
    maxLength: 200,
    description: 'A Stripe account (acct_…), or an ICRC-1 account in its textual form',
  }),
});

export const DESTINATION_STATES = ['cooling', 'in_force', 'replaced', 'withdrawn'] as const;

export const PayoutDestination = closed({
  id: Uuid,
  route: Route,
  account: Type.String(),
  state: Type.Enum([...DESTINATION_STATES], {
    description: '`cooling`: does not count before `usable_at`; naming the one in force again withdraws it',
  }),
  set_at: Timestamp,
  usable_at: Timestamp,
});
export type WirePayoutDestination = Static<typeof PayoutDestination>;
