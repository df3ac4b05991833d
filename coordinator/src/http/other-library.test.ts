/** Any RFC 9421 library must be able to sign for us and to check what we sign; this is one that is not ours. */
import { sign as signBytes, createPrivateKey, createPublicKey, verify as verifyBytes } from 'node:crypto';
import { createHash } from 'node:crypto';
import { httpbis } from 'http-message-signatures';
import { fromHex } from '@dc/shared/ids';
import { signRequest } from '@dc/shared/signing/sign-request';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../lib/system-random.ts';
import { keyOf, makeAccount } from '../testing/people.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

const ORIGIN = 'http://127.0.0.1:8787';
const SEED = createHash('sha256').update('test key ada').digest();
const PRIVATE = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED]),
  format: 'der',
  type: 'pkcs8',
});

interface Outgoing {
  method: string;
  url: string;
  body?: string;
}

/** Signs as PROTOCOL.md says, by the other library alone. */
async function signElsewhere(
  coordinator: TestCoordinator,
  request: Outgoing,
): Promise<Record<string, string>> {
  const { method, url, body } = request;
  const digest = createHash('sha256')
    .update(body ?? '')
    .digest('base64');
  const headers: Record<string, string> = {
    host: new URL(url).host,
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-digest': `sha-256=:${digest}:` }),
  };
  const signed = await httpbis.signMessage(
    {
      key: {
        id: keyOf('ada').publicKey,
        alg: 'ed25519',
        sign: async (data) => signBytes(null, data, PRIVATE),
      },
      name: 'dc',
      fields: ['@method', '@authority', '@path', '@query', ...(body === undefined ? [] : ['content-digest'])],
      params: ['created', 'nonce', 'keyid', 'alg', 'tag'],
      paramValues: {
        created: new Date(coordinator.clock.now()),
        nonce: Buffer.from(systemRandom.bytes(16)).toString('base64url'),
        tag: 'dc-v1',
      },
    },
    { method, url, headers },
  );
  return signed.headers;
}

describe('a request that another library signs', () => {
  it.each([
    ['with a body', { method: 'POST', url: `${ORIGIN}/api/v1/providers`, body: '{"name":"Ada"}' }, 201],
    ['without a body', { method: 'GET', url: `${ORIGIN}/api/v1/accounts/me` }, 200],
    ['with a query', { method: 'GET', url: `${ORIGIN}/api/v1/offerings?q=a%20b&limit=5` }, 200],
  ] as [string, Outgoing, number][])('%s is accepted', async (_, request, status) => {
    const coordinator = await startTestCoordinator();
    await makeAccount(coordinator, 'ada');
    const headers = await signElsewhere(coordinator, request);
    const { method, url, body } = request;
    const answer = await coordinator.app.inject({
      method: method as 'GET',
      url: url.slice(ORIGIN.length),
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
    expect(answer.statusCode, answer.payload).toBe(status);
  });
});

describe('a request that we sign', () => {
  it.each([
    ['with a body', { method: 'POST', url: `${ORIGIN}/api/v1/providers`, body: '{"name":"Ada"}' }],
    ['with a query', { method: 'GET', url: `${ORIGIN}/api/v1/offerings?q=a%20b` }],
    ['without either', { method: 'GET', url: `${ORIGIN}/api/v1/accounts/me` }],
  ] as [string, Outgoing][])(
    '%s is verified by the other library, and not once it was changed',
    async (_, request) => {
      const now = Date.now();
      const clock = { now: () => now, monotonic: () => 0, schedule: () => () => undefined };
      const { method, url, body } = request;
      const bytes = body === undefined ? undefined : Buffer.from(body);
      const headers = signRequest(
        { method, url: new URL(url), body: bytes },
        { key: keyOf('ada'), clock, random: systemRandom },
      );
      const check = (message: { method: string; url: string }): Promise<boolean | null> =>
        httpbis
          .verifyMessage(
            {
              keyLookup: async ({ keyid }) => ({
                id: String(keyid),
                algs: ['ed25519'],
                verify: async (data, signature) =>
                  verifyBytes(null, data, publicKeyOf(String(keyid)), signature),
              }),
            },
            { ...message, headers: { host: new URL(url).host, ...headers } },
          )
          .catch(() => false);
      expect(await check({ method, url })).toBe(true);
      expect(await check({ method: 'DELETE', url })).toBe(false);
      expect(await check({ method, url: `${url}${url.includes('?') ? '&' : '?'}more=1` })).toBe(false);
    },
  );
});

function publicKeyOf(hex: string) {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), fromHex(hex)]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}
