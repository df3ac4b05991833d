/** `GET /api/v1/coordinator`: the key that providers name in their grants, and how one can pay here. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { CoordinatorInfo } from '@dc/shared/wire/coordinator';
import type { Context } from '../context.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { viewForAll } from '../safe-mode/view-safe-mode.ts';
import { readRoute, type Route } from './route.ts';

export function infoRoute({ keys, config, db }: Context, paymentMethods: readonly string[]): Route {
  return readRoute({
    method: 'GET',
    url: '/api/v1/coordinator',
    permission: 'public',
    summary: 'The coordinator’s public key, its environment, and how one can pay here.',
    schema: { response: CoordinatorInfo },
    errors: [],
    async handle({ now }) {
      const safeMode = await findSafeMode(db.read);
      return {
        status: 200,
        body: {
          coordinator_key: keys.current.publicKey,
          key_rotations: keys.rotations.map(({ compact }) => compact),
          environment: config.environment,
          payment_methods: [...paymentMethods],
          ...(safeMode === null ? {} : { safe_mode: viewForAll(safeMode) }),
          server_time: toTimestamp(now),
        },
      };
    },
  });
}
