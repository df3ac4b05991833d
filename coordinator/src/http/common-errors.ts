/** The codes that a route can answer with beside its own: they follow from how it is declared. */
import type { ErrorCode } from '@dc/shared/errors';
import { permissionsOf } from './permissions.ts';
import type { Route } from './route.ts';

const EVERY_ROUTE = ['INTERNAL_BUG', 'SERVICE_UNAVAILABLE', 'DATABASE_FULL'] as const;
const WITH_INPUT = ['REQUEST_INVALID'] as const;
const WITH_BODY = ['REQUEST_MALFORMED', 'REQUEST_TYPE_UNSUPPORTED', 'REQUEST_TOO_LARGE'] as const;
const WITH_SIGNATURE = [
  'SIGNATURE_MALFORMED',
  'SIGNATURE_INVALID',
  'SIGNATURE_SKEW',
  'SIGNATURE_REPLAYED',
  'DIGEST_MISMATCH',
  'KEY_REVOKED',
  'KEY_WEAK',
  'ORIGIN_DENIED',
  'REQUEST_MISDIRECTED',
] as const;
const WITH_PERMISSION = ['AUTH_REQUIRED', 'KEY_UNKNOWN', 'PERMISSION_DENIED', 'SESSION_INVALID'] as const;

/** All codes of a route: its own, and those of every route that is declared as it is. */
export function errorsOf(route: Route): ErrorCode[] {
  const codes = new Set<ErrorCode>([...route.errors, ...EVERY_ROUTE, ...WITH_INPUT, ...WITH_SIGNATURE]);
  const add = (more: readonly ErrorCode[]): void => more.forEach((code) => codes.add(code));
  if (route.isExemptFromRateLimits !== true || route.kind === 'stream') add(['REQUEST_RATE_LIMITED']);
  // A body that a GET brings is refused too, but no client is tempted to send one.
  if (route.method !== 'GET') add(WITH_BODY);
  if (!permissionsOf(route).includes('public')) add(WITH_PERMISSION);
  if (route.kind === 'write') add(['COORDINATOR_SAFE_MODE']);
  if (route.kind === 'write' && route.idempotency !== 'none') add(['IDEMPOTENCY_MISMATCH']);
  if (route.kind === 'write' && route.idempotency === 'required') add(['IDEMPOTENCY_REQUIRED']);
  return [...codes];
}
