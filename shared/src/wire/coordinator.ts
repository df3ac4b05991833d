/** What a coordinator says of itself to anyone who asks. */
import { Type } from 'typebox';
import { closed, PublicKey, Timestamp } from './schema-parts.ts';

export const CoordinatorInfo = closed({
  coordinator_key: Type.String({ ...PublicKey, description: 'Signs orders and checkpoints; agents pin it' }),
  environment: Type.String(),
  payment_methods: Type.Array(Type.String()),
  server_time: Timestamp,
});
