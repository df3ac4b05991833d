/** What a request shows to say who is calling: a signature (RFC 9421), a session cookie, or nothing. */
import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '@dc/shared/errors';
import { isSigned, verifyRequest, type VerifiedSignature } from '@dc/shared/signing/verify-request';
import type { OwnAuthorities } from './own-authorities.ts';
import { hashToken, readSessionToken } from './session-cookie.ts';

/** A credential whose form holds; what it may do is for the database to say. */
export type Credential =
  | { kind: 'none' }
  | ({ kind: 'signature' } & VerifiedSignature)
  /** `tokenHash`: how the session's row is found. */
  | { kind: 'session'; tokenHash: string };

/** The parts of a request that its credential is read from. */
export interface CredentialSource {
  method: string;
  /** The Host header, in lower case. */
  authority: string;
  /** Path and query exactly as on the request line. */
  target: string;
  headers: IncomingHttpHeaders;
  body: Uint8Array;
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether the request claims to come from somebody, so that it does not count as anonymous. */
export function hasCredential(headers: IncomingHttpHeaders): boolean {
  return isSigned(headers) || readSessionToken(headers) !== null;
}

/**
 * Reads and checks the credential. A signature wins over a cookie. Throws the SIGNATURE_… and DIGEST_… codes,
 * REQUEST_MISDIRECTED, and ORIGIN_DENIED for a request that another site makes the browser send.
 */
export function readCredential(source: CredentialSource, own: OwnAuthorities, nowMs: number): Credential {
  if (isSigned(source.headers)) {
    own.assertAddressed(source.authority);
    return { kind: 'signature', ...verifyRequest(source, nowMs) };
  }
  const token = readSessionToken(source.headers);
  if (!SAFE_METHODS.has(source.method)) {
    own.assertAddressed(source.authority);
    assertOwnPage(source.headers, own, token !== null);
  }
  return token === null ? { kind: 'none' } : { kind: 'session', tokenHash: hashToken(token) };
}

/**
 * Cross-site request forgery: a browser adds the cookie to any site's request, but says whose page sent it. Programs
 * that are no browser send neither header and have no cookie; a cookie without either header is refused.
 */
function assertOwnPage(headers: IncomingHttpHeaders, own: OwnAuthorities, hasSession: boolean): void {
  const { origin } = headers;
  if (origin !== undefined) {
    if (!own.isOwnOrigin(origin)) throw new AppError('ORIGIN_DENIED');
  } else if (hasSession && headers['sec-fetch-site'] !== 'same-origin') {
    throw new AppError('ORIGIN_DENIED', 'A request with a session must say that it comes from our page.');
  }
}
