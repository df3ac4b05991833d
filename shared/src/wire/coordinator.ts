/** What a coordinator says of itself to anyone who asks. */
import { Type } from 'typebox';
import { closed, CompactJws, PublicKey, Timestamp } from './schema-parts.ts';

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
