/**
 * Checks the signature headers of a request as PROTOCOL.md fixes them, strictly: exactly the components and
 * parameters named there, one digest, a fresh time. Whether the nonce is new and what the key may do is for the
 * caller, who holds the database.
 */
import { createHash } from 'node:crypto';
import { verifySignature } from '../crypto/ed25519.ts';
import { parsePublicKey } from '../crypto/public-key.ts';
import { AppError } from '../errors.ts';
import { buildSignatureBase, coveredComponents, SIGNATURE_LABEL, SIGNATURE_TAG } from './signature-base.ts';

/** How far `created` may be from the server's clock, in seconds. Fixed by PROTOCOL.md. */
export const SKEW_MAX_S = 300;

/** A request as it came in. */
export interface IncomingRequest {
  method: string;
  authority: string;
  /** Path and query exactly as on the request line. */
  target: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The raw bytes of the body; empty for none. */
  body: Uint8Array;
}

/** A signature that verifies; its nonce must still be spent. */
export interface VerifiedSignature {
  keyid: string;
  nonce: string;
  /** When the nonce may be forgotten, in milliseconds: from then on the skew check refuses the request. */
  nonceExpiresAt: number;
}

/** Whether the request claims a signature at all. */
export function isSigned(headers: IncomingRequest['headers']): boolean {
  return headers['signature-input'] !== undefined || headers['signature'] !== undefined;
}

/**
 * Verifies a request at server time `nowMs`. Throws SIGNATURE_MALFORMED, DIGEST_MISMATCH, SIGNATURE_SKEW (with
 * `server_time`), SIGNATURE_INVALID, or KEY_WEAK where no signature of this key could be believed.
 */
export function verifyRequest(request: IncomingRequest, nowMs: number): VerifiedSignature {
  const input = parseSignatureInput(single(request.headers, 'signature-input'));
  const signature = parseSignature(single(request.headers, 'signature'));
  const hasBody = request.body.length > 0;
  checkComponents(input.components, hasBody);
  const contentDigest = hasBody
    ? checkDigest(single(request.headers, 'content-digest'), request.body)
    : undefined;
  checkTime(input, nowMs);
  const question = request.target.indexOf('?');
  const base = buildSignatureBase(
    {
      method: request.method,
      authority: request.authority,
      path: question < 0 ? request.target : request.target.slice(0, question),
      query: question < 0 ? '?' : request.target.slice(question),
      contentDigest,
    },
    input.components,
    input.raw,
  );
  if (!verifySignature(input.keyid, Buffer.from(base), signature)) {
    // Costly, so only here: a weak key whose signature verifies is refused by whoever looks for its account.
    parsePublicKey(input.keyid);
    throw new AppError('SIGNATURE_INVALID');
  }
  return { keyid: input.keyid, nonce: input.nonce, nonceExpiresAt: (input.created + SKEW_MAX_S + 1) * 1000 };
}

interface SignatureInput {
  /** The member exactly as sent, without its label. */
  raw: string;
  components: string[];
  created: number;
  expires: number | undefined;
  nonce: string;
  keyid: string;
}

// One member of the dictionary, with the label `dc`, between other members that a proxy may have added.
const INPUT_MEMBER = new RegExp(
  `(?:^|,[ \\t]*)${SIGNATURE_LABEL}=(\\(((?:"[a-z0-9@-]+"(?: +(?=")|(?=\\))))*)\\)((?:;[a-z]+=(?:"[^"\\\\,]*"|-?[0-9]{1,15}))*))[ \\t]*(?=,|$)`,
  'g',
);
const SIGNATURE_MEMBER = new RegExp(
  `(?:^|,[ \\t]*)${SIGNATURE_LABEL}=:([A-Za-z0-9+/]+=*):[ \\t]*(?=,|$)`,
  'g',
);

function parseSignatureInput(header: string): SignatureInput {
  const [, raw = '', names = '', tail = ''] = onlyMatch(header, INPUT_MEMBER, 'Signature-Input');
  const parameters = new Map<string, string | number>();
  for (const [, name = '', text, integer] of tail.matchAll(/;([a-z]+)=(?:"([^"]*)"|(-?[0-9]+))/g)) {
    if (parameters.has(name)) throw malformed(`the parameter ${name} stands twice`);
    parameters.set(name, text ?? Number(integer));
  }
  const known = new Set(['created', 'expires', 'nonce', 'keyid', 'alg', 'tag']);
  for (const name of parameters.keys())
    if (!known.has(name)) throw malformed(`the parameter ${name} is not known`);
  const created = parameters.get('created');
  const expires = parameters.get('expires');
  const nonce = parameters.get('nonce');
  const keyid = parameters.get('keyid');
  if (typeof created !== 'number') throw malformed('created is missing');
  if (expires !== undefined && typeof expires !== 'number') throw malformed('expires is not an integer');
  if (typeof nonce !== 'string' || !/^[A-Za-z0-9_-]{22,128}={0,2}$/.test(nonce)) {
    throw malformed('nonce must be at least 16 random bytes in base64url');
  }
  if (typeof keyid !== 'string' || !/^[0-9a-f]{64}$/.test(keyid))
    throw malformed('keyid must be the public key in lower-case hex');
  if (parameters.get('alg') !== 'ed25519') throw malformed('alg must be "ed25519"');
  if (parameters.get('tag') !== SIGNATURE_TAG) throw malformed(`tag must be "${SIGNATURE_TAG}"`);
  return { raw, components: names.match(/[a-z0-9@-]+/g) ?? [], created, expires, nonce, keyid };
}

function parseSignature(header: string): Buffer {
  const [, text = ''] = onlyMatch(header, SIGNATURE_MEMBER, 'Signature');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 64 || bytes.toString('base64') !== text)
    throw malformed('the signature must be 64 bytes in base64');
  return bytes;
}

function onlyMatch(header: string, pattern: RegExp, name: string): RegExpMatchArray {
  const [match, ...others] = [...header.matchAll(pattern)];
  if (match === undefined) throw malformed(`${name} has no readable member "${SIGNATURE_LABEL}"`);
  if (others.length > 0) throw malformed(`${name} has more than one member "${SIGNATURE_LABEL}"`);
  return match;
}

function checkComponents(components: readonly string[], hasBody: boolean): void {
  const expected = coveredComponents(hasBody);
  const same = components.length === expected.length && expected.every((name) => components.includes(name));
  if (!same)
    throw malformed(`the signature must cover exactly ${expected.map((name) => `"${name}"`).join(' ')}`);
}

/** Checks the digest and returns the header as it was signed. Other algorithms beside sha-256 are allowed. */
function checkDigest(header: string, body: Uint8Array): string {
  const members = [...header.matchAll(/(?:^|,[ \t]*)sha-256=:([A-Za-z0-9+/]+=*):[ \t]*(?=,|$)/g)];
  const given = members.length === 1 ? members[0]?.[1] : undefined;
  if (given !== createHash('sha256').update(body).digest('base64')) throw new AppError('DIGEST_MISMATCH');
  return header;
}

function checkTime(input: SignatureInput, nowMs: number): void {
  const skewS = input.created - nowMs / 1000;
  const expired = input.expires !== undefined && input.expires < nowMs / 1000;
  if (Math.abs(skewS) <= SKEW_MAX_S && !expired) return;
  const detail = expired
    ? 'The signature has expired by its own word.'
    : `The signature was made ${String(Math.abs(Math.round(skewS)))} s ${skewS > 0 ? 'in the future' : 'ago'}; ${String(SKEW_MAX_S)} s are allowed.`;
  throw new AppError('SIGNATURE_SKEW', detail, { extra: { server_time: new Date(nowMs).toISOString() } });
}

function single(headers: IncomingRequest['headers'], name: string): string {
  const value = headers[name];
  if (typeof value !== 'string') {
    if (name === 'content-digest')
      throw new AppError('DIGEST_MISMATCH', 'A request with a body needs one Content-Digest.');
    throw malformed(`the header ${name} must be there once`);
  }
  return value;
}

function malformed(why: string): AppError {
  return new AppError('SIGNATURE_MALFORMED', `The signature cannot be read: ${why}.`);
}
