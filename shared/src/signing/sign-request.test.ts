/** What we sign, a library that is not ours verifies, and the other way round (http-message-signatures). */
import { createVerifier, createSigner, httpbis, type Request } from 'http-message-signatures';
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SigningKey } from '../crypto/ed25519.ts';
import { fromHex } from '../ids.ts';
import { clockAt, countingRandom } from '../testing/keys.ts';
import { digestOf, signRequest } from './sign-request.ts';
import { verifyRequest } from './verify-request.ts';

const NOW_MS = Date.parse('2026-11-20T12:00:00.000Z');
const seed = fromHex('07'.repeat(32));
const key = SigningKey.fromSeed(seed);
const privateKey: KeyObject = createPrivateKey({
  key: Buffer.concat([fromHex('302e020100300506032b657004220420'), seed]),
  format: 'der',
  type: 'pkcs8',
});
const signer = { key, clock: clockAt(NOW_MS), random: countingRandom() };

const REQUESTS: [name: string, method: string, url: string, body: string | undefined][] = [
  ['a GET without a query', 'GET', 'https://rent.example/api/v1/offerings', undefined],
  ['a GET of the root', 'GET', 'https://rent.example', undefined],
  ['a query', 'GET', 'http://127.0.0.1:8787/api/v1/offerings?q=a%20b&limit=5', undefined],
  ['a query with odd characters', 'GET', 'http://127.0.0.1:8787/x?a=%2F&b=(1)&c=*&&d', undefined],
  ['a POST with a body', 'POST', 'https://rent.example:8443/api/v1/contracts', '{"a":"ü"}'],
  ['a PUT with body and query', 'PUT', 'http://localhost:1/p/%C3%BC?x=1', '[]'],
  ['a POST without a body', 'POST', 'https://rent.example/api/v1/contracts/1/cancel', undefined],
];

describe.each(REQUESTS)('%s', (_name, method, url, body) => {
  const bytes = Buffer.from(body ?? '');
  const { host, pathname, search } = new URL(url);
  const received = { method, authority: host, target: pathname + search, body: bytes };

  it('signed by us is verified by us', () => {
    const headers = signRequest({ method, url: new URL(url), body: bytes }, signer);
    expect(verifyRequest({ ...received, headers }, NOW_MS).keyid).toBe(key.publicKey);
  });

  it('signed by us is verified by the other library', async () => {
    const headers = signRequest({ method, url: new URL(url), body: bytes }, signer);
    const isValid = await httpbis.verifyMessage(
      {
        notAfter: NOW_MS / 1000,
        requiredFields: [
          '@method',
          '@authority',
          '@path',
          '@query',
          ...(body === undefined ? [] : ['content-digest']),
        ],
        requiredParams: ['created', 'nonce', 'keyid', 'alg', 'tag'],
        keyLookup: async ({ keyid }) => ({
          id: keyid!,
          algs: ['ed25519'],
          verify: createVerifier(createPublicKey(privateKey), 'ed25519'),
        }),
      },
      { method, url, headers } as Request,
    );
    expect(isValid).toBe(true);
  });

  it('signed by the other library is verified by us, whatever the order of components and parameters', async () => {
    const components = ['@query', '@path', '@authority', '@method'];
    const digest = body === undefined ? {} : { 'content-digest': digestOf(bytes) };
    const signed = await httpbis.signMessage(
      {
        key: { ...createSigner(privateKey, 'ed25519', key.publicKey), id: key.publicKey },
        name: 'dc',
        fields: body === undefined ? components : ['content-digest', ...components],
        params: ['tag', 'keyid', 'alg', 'nonce', 'expires', 'created'],
        paramValues: {
          created: new Date(NOW_MS - 60_000),
          expires: new Date(NOW_MS + 60_000),
          nonce: 'c29tZSByYW5kb20gYnl0ZXM',
          tag: 'dc-v1',
        },
      },
      { method, url, headers: digest },
    );
    const headers = Object.fromEntries(
      Object.entries(signed.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    expect(verifyRequest({ ...received, headers }, NOW_MS)).toEqual({
      keyid: key.publicKey,
      nonce: 'c29tZSByYW5kb20gYnl0ZXM',
      nonceExpiresAt: NOW_MS - 60_000 + 301_000,
    });
  });
});

describe('signRequest', () => {
  const request = { method: 'get', url: new URL('https://RENT.example:443/a?b') };

  it('writes method, authority and default port as the server will see them', () => {
    const headers = signRequest(request, signer);
    const received = { method: 'GET', authority: 'rent.example', target: '/a?b', body: Buffer.alloc(0) };
    expect(verifyRequest({ ...received, headers }, NOW_MS).keyid).toBe(key.publicKey);
  });

  it('uses a new nonce of 16 bytes every time', () => {
    const nonces = [1, 2, 3].map(
      () => /nonce="([^"]*)"/.exec(signRequest(request, signer)['signature-input']!)![1]!,
    );
    expect(new Set(nonces).size).toBe(3);
    for (const nonce of nonces) expect(Buffer.from(nonce, 'base64url').length).toBe(16);
  });

  it('follows the clock of the server once it knows the offset', () => {
    const late = { ...signer, clock: clockAt(NOW_MS - 3_600_000), offsetMs: 3_600_000 };
    expect(signRequest(request, late)['signature-input']).toContain(`;created=${NOW_MS / 1000};`);
  });

  it('sends a digest exactly when there is a body', () => {
    const names = (body?: Uint8Array) => Object.keys(signRequest({ ...request, body }, signer)).sort();
    expect(names()).toEqual(['signature', 'signature-input']);
    expect(names(new Uint8Array())).toEqual(['signature', 'signature-input']);
    expect(names(Buffer.from('x'))).toEqual(['content-digest', 'signature', 'signature-input']);
  });
});

describe('digestOf', () => {
  it('is the example of RFC 9530', () => {
    const digest = digestOf(Buffer.from('{"hello": "world"}'));
    expect(digest).toBe('sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:');
  });
});
