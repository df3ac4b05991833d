/** Whether a principal may call a route. */
import { AppError } from '@dc/shared/errors';
import type { Permission, Principal } from './principal.ts';
import type { Route } from './route.ts';

/** A route's permissions as a list. */
export function permissionsOf(route: Pick<Route, 'permission'>): readonly Permission[] {
  return typeof route.permission === 'string' ? [route.permission] : route.permission;
}

/**
 * Throws AUTH_REQUIRED, KEY_UNKNOWN or PERMISSION_DENIED (naming what is missing) unless `principal` has one of
 * `permissions`.
 */
export function assertPermitted(principal: Principal, permissions: readonly Permission[]): void {
  if (permissions.some((permission) => isPermitted(principal, permission))) return;
  if (principal.kind === 'anonymous') throw new AppError('AUTH_REQUIRED');
  if (principal.kind === 'key') throw new AppError('KEY_UNKNOWN');
  throw new AppError('PERMISSION_DENIED', `This needs the permission ${permissions.join(' or ')}.`);
}

function isPermitted(principal: Principal, permission: Permission): boolean {
  switch (permission) {
    case 'public':
      return true;
    case 'key':
      return (
        principal.kind !== 'anonymous' && !(principal.kind === 'account' && principal.publicKey === null)
      );
    case 'account':
      return principal.kind === 'account';
    case 'provider':
      return principal.kind === 'account' && principal.isProvider;
    case 'admin':
      return principal.kind === 'account' && principal.isAdmin;
    default:
      return (
        principal.kind === 'agent' && principal.permissions.some((held) => permission === `agent:${held}`)
      );
  }
}
