/** What a coordinator says of itself to anyone who asks. */
import { Type } from 'typebox';
import { closed, CompactJws, nullable, PublicKey, Timestamp } from './schema-parts.ts';

export const CoordinatorInfo = closed({
  coordinator_key: Type.String({ ...PublicKey, description: 'Signs orders and checkpoints; agents pin it' }),
  key_rotations: Type.Optional(
    Type.Array(CompactJws, {
      description:
        'dc-key-rotation JWS, oldest first: each is signed by the key that was replaced and by the one that came ' +
        'after it, so that whoever pinned any of them can walk to the newest',
    }),
  ),
  environment: Type.String(),
  payment_methods: Type.Array(Type.String()),
  safe_mode: Type.Optional(
    closed(
      { since: Timestamp },
      {
        description:
          'There while nothing is sold, ordered, ended or paid: the data may be older than what was done',
      },
    ),
  ),
  server_time: Timestamp,
});

/** What an admin has to resolve; `safe_mode` is null where there is nothing. */
export const SafeModeReport = closed({
  safe_mode: nullable(
    closed({ since: Timestamp, cause: Type.String(), detail: Type.String(), agent: nullable(PublicKey) }),
  ),
  differences: Type.Array(Type.String(), {
    description:
      'One sentence each: what agents know and the database does not → what resolving does about it',
  }),
  silent_agents: Type.Array(PublicKey, { description: 'Have not told yet what they hold' }),
});
