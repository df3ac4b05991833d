/** Makes the signature headers of a request (PROTOCOL.md, "Request signatures"). */
import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { SigningKey } from '../crypto/ed25519.ts';
import type { Random } from '../random.ts';
import {
  buildSignatureBase,
  coveredComponents,
  serializeParameters,
  SIGNATURE_LABEL,
} from './signature-base.ts';

/** A request that is about to be sent. */
export interface OutgoingRequest {
  method: string;
  url: URL;
  /** The exact bytes of the body; undefined or empty for none. */
  body?: Uint8Array | undefined;
}

/** Who signs, and with what time and nonces. */
export interface Signer {
  key: SigningKey;
  clock: Clock;
  random: Random;
  /** Added to the clock: how far the server's clock is ahead of ours. 0 unless a server told us so. */
  offsetMs?: number;
}

/** The headers to add: Signature-Input, Signature, and Content-Digest when there is a body. One use each. */
export function signRequest(request: OutgoingRequest, signer: Signer): Record<string, string> {
  const hasBody = request.body !== undefined && request.body.length > 0;
  const contentDigest = hasBody ? digestOf(request.body as Uint8Array) : undefined;
  const components = coveredComponents(hasBody);
  const parameters = serializeParameters(components, {
    created: Math.floor((signer.clock.now() + (signer.offsetMs ?? 0)) / 1000),
    nonce: Buffer.from(signer.random.bytes(16)).toString('base64url'),
    keyid: signer.key.publicKey,
  });
  const base = buildSignatureBase(
    {
      method: request.method.toUpperCase(),
      authority: request.url.host,
      path: request.url.pathname,
      query: request.url.search === '' ? '?' : request.url.search,
      contentDigest,
    },
    components,
    parameters,
  );
  return {
    'signature-input': `${SIGNATURE_LABEL}=${parameters}`,
    signature: `${SIGNATURE_LABEL}=:${signer.key.sign(Buffer.from(base)).toString('base64')}:`,
    ...(contentDigest === undefined ? {} : { 'content-digest': contentDigest }),
  };
}

/** The Content-Digest header (RFC 9530) of a body, with SHA-256. */
export function digestOf(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}
