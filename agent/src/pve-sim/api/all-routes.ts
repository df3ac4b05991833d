/** Every call that the simulator answers, in one list. */
import type { Authenticator } from '../access/authenticate.ts';
import { accessRoutes } from './access-routes.ts';
import { AGENT_ROUTES } from './agent-routes.ts';
import { CLUSTER_ROUTES } from './cluster-routes.ts';
import { NODE_ROUTES } from './node-routes.ts';
import { POOL_ROUTES } from './pool-routes.ts';
import { QEMU_ROUTES } from './qemu-routes.ts';
import type { Route } from './route.ts';
import { SNAPSHOT_ROUTES } from './snapshot-routes.ts';
import { STORAGE_ROUTES } from './storage-routes.ts';
import { TASK_ROUTES } from './task-routes.ts';
import { userRoutes } from './user-routes.ts';

/** The routes; logging in needs the authenticator. */
export function allRoutes(authenticator: Authenticator): readonly Route[] {
  return [
    ...CLUSTER_ROUTES,
    ...NODE_ROUTES,
    ...TASK_ROUTES,
    ...STORAGE_ROUTES,
    ...QEMU_ROUTES,
    ...SNAPSHOT_ROUTES,
    ...AGENT_ROUTES,
    ...userRoutes(authenticator),
    ...accessRoutes(),
    ...POOL_ROUTES,
  ];
}
