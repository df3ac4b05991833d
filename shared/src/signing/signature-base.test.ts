import { describe, expect, it } from 'vitest';
import { SigningKey, verifySignature } from '../crypto/ed25519.ts';
import { buildSignatureBase, coveredComponents, serializeParameters } from './signature-base.ts';

const keyid = 'ab'.repeat(32);

describe('the signature base', () => {
  const request = {
    method: 'POST',
    authority: 'EXAMPLE.com:8443',
    path: '/api/v1/contracts',
    query: '?limit=1&cursor=',
    contentDigest: 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:',
  };

  it('has one line for each component in the order of the parameters, and no newline at its end', () => {
    const components = coveredComponents(true);
    const parameters = serializeParameters(components, { created: 1763633000, nonce: 'n0nce', keyid });
    expect(buildSignatureBase(request, components, parameters)).toBe(
      [
        '"@method": POST',
        '"@authority": example.com:8443',
        '"@path": /api/v1/contracts',
        '"@query": ?limit=1&cursor=',
        '"content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:',
        `"@signature-params": ("@method" "@authority" "@path" "@query" "content-digest");created=1763633000;nonce="n0nce";keyid="${keyid}";alg="ed25519";tag="dc-v1"`,
      ].join('\n'),
    );
  });

  it('covers the digest exactly when there is a body', () => {
    expect(coveredComponents(false)).toEqual(['@method', '@authority', '@path', '@query']);
    expect(coveredComponents(true)).toEqual(['@method', '@authority', '@path', '@query', 'content-digest']);
  });

  it('refuses to write a component that it does not know', () => {
    expect(() => buildSignatureBase(request, ['@status'], '()')).toThrow('@status is not signed here');
  });
});

describe('RFC 9421, B.2.6', () => {
  /** The lines of the example that our own builder makes; the others are fields that we never sign. */
  const components = ['@method', '@path', '@authority'];
  const parameters =
    '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"';
  const ours = buildSignatureBase(
    { method: 'POST', authority: 'example.com', path: '/foo', query: '?', contentDigest: undefined },
    components,
    parameters,
  ).split('\n');
  const base = [
    '"date": Tue, 20 Apr 2021 02:07:55 GMT',
    ...ours.slice(0, 3),
    '"content-type": application/json',
    '"content-length": 18',
    ours[3],
  ].join('\n');
  const signature =
    'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==';

  it('is the base that the published key signs with the published signature', () => {
    const seed = Buffer.from(
      'MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF',
      'base64',
    ).subarray(16);
    const key = SigningKey.fromSeed(seed);
    expect(key.publicKey).toBe('26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb');
    expect(key.sign(Buffer.from(base)).toString('base64')).toBe(signature);
    expect(verifySignature(key.publicKey, Buffer.from(base), Buffer.from(signature, 'base64'))).toBe(true);
  });
});
