/** The signature headers of a request that the browser sends (PROTOCOL.md, "Request signatures"). */
import type { Random } from '@dc/shared/random';
import {
  buildSignatureBase,
  coveredComponents,
  serializeParameters,
  SIGNATURE_LABEL,
} from '@dc/shared/signing/signature-base';
import type { AccountKey } from './account-key.ts';

/** A request with a body, about to be sent. */
export interface BrowserRequest {
  method: string;
  url: URL;
  body: Uint8Array<ArrayBuffer>;
}

const NONCE_BYTES = 16;

/** Who signs, with what nonces, and the server's time as well as it is known. */
export interface BrowserSigner {
  key: AccountKey;
  random: Random;
  nowMs: number;
}

/** The headers to add. One use each. */
export async function signBrowserRequest(
  request: BrowserRequest,
  { key, random, nowMs }: BrowserSigner,
): Promise<Record<string, string>> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', request.body));
  const contentDigest = `sha-256=:${toBase64(digest)}:`;
  const components = coveredComponents(true);
  const nonce = toBase64(random.bytes(NONCE_BYTES));
  const parameters = serializeParameters(components, {
    created: Math.floor(nowMs / 1000),
    nonce: nonce.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''),
    keyid: key.publicKey,
  });
  const { url } = request;
  const base = buildSignatureBase(
    {
      method: request.method,
      authority: url.host,
      path: url.pathname,
      query: url.search === '' ? '?' : url.search,
      contentDigest,
    },
    components,
    parameters,
  );
  const signature = await key.sign(new TextEncoder().encode(base));
  return {
    'content-digest': contentDigest,
    'signature-input': `${SIGNATURE_LABEL}=${parameters}`,
    signature: `${SIGNATURE_LABEL}=:${toBase64(signature)}:`,
  };
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** The text that a key signs to log in; the same as `loginText` of shared/wire/account.ts, without its schemas. */
export function loginMessage(authority: string, challenge: string): string {
  return `dc-login\n${authority}\n${challenge}`;
}
