/**
 * Compact JWS (RFC 7515) with EdDSA (RFC 8037), as records, checkpoints, orders, grants and delegations use it.
 * Reading is strict: exactly `{alg, typ, kid}` in the header, canonical base64url, nothing that a signature does
 * not cover.
 */
import { createHash } from 'node:crypto';
import type { SigningKey } from './ed25519.ts';
import { verifySignature } from './ed25519.ts';

/** What a compact JWS says, before anybody has checked its signature. */
export interface ParsedJws {
  typ: string;
  /** The signer's public key in hex, from the header: a claim until `verifyJws` has said yes. */
  kid: string;
  payload: unknown;
  signingInput: Buffer;
  signature: Buffer;
}

/** Signs `payload` (serialised once, as is). */
export function signJws(typ: string, payload: object, key: SigningKey): string {
  const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', typ, kid: key.publicKey })).toString('base64url');
  const input = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
  return `${input}.${key.sign(Buffer.from(input)).toString('base64url')}`;
}

// An agent's records all start with the same header; decoding it once is enough. Bounded.
const HEADER_CACHE_MAX = 20_000;
const headerCache = new Map<string, { typ: string; kid: string }>();

/** Reads a compact JWS; null where it is not one of ours in form. Checks no signature. */
export function parseJws(compact: string): ParsedJws | null {
  const first = compact.indexOf('.');
  const last = compact.lastIndexOf('.');
  if (first <= 0 || last <= first + 1 || compact.indexOf('.', first + 1) !== last) return null;
  const header = parseHeader(compact.slice(0, first));
  const payloadBytes = fromBase64Url(compact.slice(first + 1, last));
  const signature = fromBase64Url(compact.slice(last + 1));
  if (header === null || payloadBytes === null || signature?.length !== 64) return null;
  const payload = parseJson(payloadBytes);
  if (payload === undefined) return null;
  return { ...header, payload, signature, signingInput: Buffer.from(compact.slice(0, last), 'latin1') };
}

/** Whether the JWS has this `typ` and a valid signature by the key that its header names. */
export function verifyJws(jws: ParsedJws, typ: string): boolean {
  return jws.typ === typ && verifySignature(jws.kid, jws.signingInput, jws.signature);
}

/** SHA-256 of a compact JWS in lower-case hex: the link of a chain, the name of a grant. */
export function hashJws(compact: string): string {
  return createHash('sha256').update(compact, 'latin1').digest('hex');
}

/** Strict base64url without padding; null for anything that does not encode back to the same text. */
export function fromBase64Url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

function parseHeader(text: string): { typ: string; kid: string } | null {
  const known = headerCache.get(text);
  if (known !== undefined) return known;
  const bytes = fromBase64Url(text);
  const header = bytes === null ? undefined : parseJson(bytes);
  if (typeof header !== 'object' || header === null) return null;
  const { alg, typ, kid, ...rest } = header as Record<string, unknown>;
  if (alg !== 'EdDSA' || typeof typ !== 'string' || typeof kid !== 'string' || !/^[0-9a-f]{64}$/.test(kid))
    return null;
  if (Object.keys(rest).length > 0) return null;
  if (headerCache.size >= HEADER_CACHE_MAX) headerCache.clear();
  headerCache.set(text, { typ, kid });
  return { typ, kid };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined; // Unreadable is an expected answer here; the caller says what it means.
  }
}
