import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { describe, expect, it } from 'vitest';
import { beat, expectStatus, keyOf, makeAccount, makeAgent, makeProvider } from '../testing/people.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

const PLENTY = { perKeyPerMinute: 100_000, perAgentPerMinute: 100_000, perAddressPerMinute: 100_000 };

/** A fifth of it at once: 4 requests. */
const FEW = 20;

async function withLimits(limits: Partial<typeof PLENTY>): Promise<TestCoordinator> {
  return startTestCoordinator({ config: { rateLimits: { ...PLENTY, ...limits } }, startsWork: false });
}

async function statuses(count: number, call: () => Promise<Answer>): Promise<number[]> {
  const seen: number[] = [];
  for (let index = 0; index < count; index += 1) seen.push((await call()).status);
  return seen;
}

const from = (ip: string) => ({ remoteAddress: ip });

/** An unsigned call from an address. */
async function askFrom(
  coordinator: TestCoordinator,
  ip: string,
  path = '/api/v1/offerings',
): Promise<number> {
  const answer = await coordinator.app.inject({
    method: 'GET',
    url: path,
    headers: { host: '127.0.0.1:8787' },
    ...from(ip),
  });
  return answer.statusCode;
}

describe('rate limits', () => {
  it('count signed requests for their key, and say when to come back', async () => {
    const coordinator = await withLimits({ perKeyPerMinute: FEW });
    const { client, clock } = coordinator;
    const key = await makeAccount(coordinator, 'ada');
    const other = await makeAccount(coordinator, 'bob');
    const me = (who: SigningKey) => (): Promise<Answer> => client.get('/accounts/me', { key: who });
    expect(await statuses(4, me(key))).toEqual([200, 200, 200, 429]);
    const refused = await me(key)();
    expect(refused.body['code']).toBe('REQUEST_RATE_LIMITED');
    expect(refused.headers['retry-after']).toBe('3');
    expectStatus(await me(other)(), 200);
    await clock.advance(3000);
    expectStatus(await me(key)(), 200);
  });

  it('count agents by a limit of their own', async () => {
    const coordinator = await withLimits({ perAgentPerMinute: FEW });
    const provider = await makeProvider(coordinator, 'prov');
    const agent = await makeAgent(coordinator, provider);
    // Registering was the first.
    for (let count = 0; count < 3; count += 1) await beat(coordinator, agent);
    await expect(beat(coordinator, agent)).rejects.toThrow('429');
    expectStatus(await coordinator.client.get('/accounts/me', { key: provider.key }), 200);
  });

  it('count requests without a name for their address', async () => {
    const coordinator = await withLimits({ perAddressPerMinute: FEW });
    const seen: number[] = [];
    for (let count = 0; count < 5; count += 1) seen.push(await askFrom(coordinator, '192.0.2.1'));
    expect(seen).toEqual([200, 200, 200, 200, 429]);
    expect(await askFrom(coordinator, '192.0.2.2')).toBe(200);
    expect(await askFrom(coordinator, '192.0.2.1', '/api/v1/nothing')).toBe(429);
    expect(await askFrom(coordinator, '192.0.2.1', '/health/live')).toBe(200);
  });

  it('take a whole /64 for one address', async () => {
    const coordinator = await withLimits({ perAddressPerMinute: FEW });
    const seen: number[] = [];
    for (let host = 1; host < 6; host += 1)
      seen.push(await askFrom(coordinator, `2001:db8::${host.toString(16)}`));
    expect(seen).toEqual([200, 200, 200, 200, 429]);
    expect(await askFrom(coordinator, '2001:db8:0:1::1')).toBe(200);
  });

  it.each([
    ['for another host', 421, { host: 'elsewhere.example', keyid: keyOf('ada').publicKey }],
    ['by a key of small order', 400, { host: '127.0.0.1:8787', keyid: '0'.repeat(64) }],
  ])('turn an address away that keeps sending signatures %s', async (_, status, { host, keyid }) => {
    const { client } = await withLimits({ perAddressPerMinute: FEW });
    const key = keyOf('ada');
    const signed = client.sign('GET', '/accounts/me', '', key);
    const input = signed['signature-input']?.replace(key.publicKey, keyid);
    const headers = { ...signed, 'signature-input': input, host };
    const refused = await statuses(5, () => client.get('/accounts/me', { headers }));
    expect(refused).toEqual([status, status, status, status, 429]);
  });

  it('turn an address away that keeps sending bad signatures, before looking at the next one', async () => {
    const coordinator = await withLimits({ perAddressPerMinute: FEW });
    const { client } = coordinator;
    const key = await makeAccount(coordinator, 'ada');
    const bad = { ...client.sign('GET', '/accounts/me', '', key), signature: `dc=:${'A'.repeat(86)}==:` };
    const refused = await statuses(6, () => client.get('/accounts/me', { headers: bad }));
    expect(refused).toEqual([401, 401, 401, 401, 429, 429]);
    const good = client.sign('GET', '/accounts/me', '', key);
    expect((await client.get('/accounts/me', { headers: good })).status).toBe(429);
    await coordinator.clock.advance(3000);
    // The good one was not looked at, so that its nonce is still good.
    expectStatus(await client.get('/accounts/me', { headers: good }), 200);
  });

  it('do not let strangers who only look at the page use up what its neighbours sign', async () => {
    const coordinator = await withLimits({ perAddressPerMinute: FEW });
    const key = await makeAccount(coordinator, 'ada');
    for (let count = 0; count < 9; count += 1) await coordinator.client.get('/offerings');
    expect((await coordinator.client.get('/offerings')).status).toBe(429);
    expectStatus(await coordinator.client.get('/accounts/me', { key }), 200);
  });

  it('count unknown keys and sessions as refused', async () => {
    const coordinator = await withLimits({ perAddressPerMinute: FEW });
    const { client } = coordinator;
    let stranger = 0;
    const unknown = (): Promise<Answer> =>
      client.get('/accounts/me', { key: keyOf(`stranger ${(stranger += 1)}`) });
    expect(await statuses(5, unknown)).toEqual([401, 401, 401, 401, 429]);
    const cookie = `__Host-dc_session=${'A'.repeat(43)}`;
    expect((await client.get('/accounts/me', { cookie })).status).toBe(429);
  });

  it('believe X-Forwarded-For only of a proxy that is configured', async () => {
    const ask = async (coordinator: TestCoordinator, client: string): Promise<number> => {
      const headers = { host: '127.0.0.1:8787', 'x-forwarded-for': client };
      const answer = await coordinator.app.inject({
        method: 'GET',
        url: '/api/v1/offerings',
        headers,
        ...from('10.0.0.1'),
      });
      return answer.statusCode;
    };
    const limits = { rateLimits: { ...PLENTY, perAddressPerMinute: 5 } };
    const direct = await startTestCoordinator({ config: limits, startsWork: false });
    expect([await ask(direct, '192.0.2.1'), await ask(direct, '192.0.2.2')]).toEqual([200, 429]);
    const proxied = await startTestCoordinator({
      config: { ...limits, trustedProxies: ['10.0.0.0/8'] },
      startsWork: false,
    });
    expect([
      await ask(proxied, '192.0.2.1'),
      await ask(proxied, '192.0.2.2'),
      await ask(proxied, '192.0.2.1'),
    ]).toEqual([200, 200, 429]);
  });
});
