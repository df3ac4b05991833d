/** The cookie of a session. `__Host-` keeps it from being set by a neighbouring subdomain or over plain HTTP. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export const SESSION_COOKIE = '__Host-dc_session';
const TOKEN_PATTERN = new RegExp(`(?:^|;\\s*)${SESSION_COOKIE}=([A-Za-z0-9_-]{43})(?:;|$)`);
const ATTRIBUTES = 'Path=/; HttpOnly; Secure; SameSite=Lax';

/** The token in the cookies of a request, or null. */
export function readSessionToken(headers: IncomingHttpHeaders): string | null {
  return headers.cookie === undefined ? null : (TOKEN_PATTERN.exec(headers.cookie)?.[1] ?? null);
}

/** SHA-256 in hex: what the database keeps of a token. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** The Set-Cookie of a new session. */
export function sessionCookie(token: string, maxAgeS: number): string {
  return `${SESSION_COOKIE}=${token}; Max-Age=${String(maxAgeS)}; ${ATTRIBUTES}`;
}

/** The Set-Cookie that makes a browser forget it. */
export function clearedSessionCookie(): string {
  return `${SESSION_COOKIE}=; Max-Age=0; ${ATTRIBUTES}`;
}
