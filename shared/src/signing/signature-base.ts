/**
 * The bytes that a request signature covers (RFC 9421, section 2.5) for the fixed set of components of
 * PROTOCOL.md. Pure, and free of Node's own modules, so that the browser uses the same lines.
 */

/** What of a request is signed. */
export interface SignedRequest {
  method: string;
  /** Host and port as in the Host header; the default port of the scheme left out. */
  authority: string;
  path: string;
  /** The raw query with its question mark; `?` where there is none. */
  query: string;
  /** The Content-Digest header; undefined exactly when there is no body. */
  contentDigest: string | undefined;
}

/** The parameters of a signature, beside the fixed `alg` and `tag`. */
export interface SignatureParameters {
  /** Seconds since the Unix epoch. */
  created: number;
  nonce: string;
  /** The signer's public key in lower-case hex. */
  keyid: string;
}

export const SIGNATURE_LABEL = 'dc';
export const SIGNATURE_TAG = 'dc-v1';

/** The covered components, with `content-digest` exactly when there is a body. */
export function coveredComponents(hasBody: boolean): string[] {
  const components = ['@method', '@authority', '@path', '@query'];
  return hasBody ? [...components, 'content-digest'] : components;
}

/** The value of the `@signature-params` line, which is also the member of Signature-Input. */
export function serializeParameters(components: readonly string[], parameters: SignatureParameters): string {
  const names = components.map((name) => `"${name}"`).join(' ');
  const { created, nonce, keyid } = parameters;
  return `(${names});created=${String(created)};nonce="${nonce}";keyid="${keyid}";alg="ed25519";tag="${SIGNATURE_TAG}"`;
}

/** The signature base. `parameters` is the member of Signature-Input exactly as it is sent. */
export function buildSignatureBase(
  request: SignedRequest,
  components: readonly string[],
  parameters: string,
): string {
  const lines = components.map((name) => `"${name}": ${componentValue(request, name)}`);
  lines.push(`"@signature-params": ${parameters}`);
  return lines.join('\n');
}

function componentValue(request: SignedRequest, name: string): string {
  switch (name) {
    case '@method':
      return request.method;
    case '@authority':
      return request.authority.toLowerCase();
    case '@path':
      return request.path;
    case '@query':
      return request.query;
    case 'content-digest':
      return request.contentDigest ?? '';
    default:
      throw new Error(`component ${name} is not signed here`);
  }
}
