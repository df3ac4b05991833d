import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { digestOf, signRequest } from '@dc/shared/signing/sign-request';
import { beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../lib/system-random.ts';
import { dumpDatabase } from '../testing/dump-database.ts';
import { beat, expectStatus, keyOf, makeAccount, makeAgent, makeProvider } from '../testing/people.ts';
import type { Answer, CallOptions } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

const POOL = { name: 'another pool', country: 'FR' };

let coordinator: TestCoordinator;
let provider: { key: SigningKey; poolId: string };
let path: string;
beforeEach(async () => {
  coordinator = await startTestCoordinator();
  provider = await makeProvider(coordinator, 'prov');
  path = `/providers/${provider.key.publicKey}/pools`;
});

/** Makes the call, and proves that nothing has changed by it. */
async function refused(call: () => Promise<Answer>): Promise<Answer> {
  const before = await dumpDatabase(coordinator.context.db.read);
  const answer = await call();
  expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(answer.body['trace_id']).toBe(answer.headers['trace-id']);
  return answer;
}

/** The headers of the call that would work, with one of them changed. */
function tampered(change: Partial<Record<string, string | undefined>>): CallOptions {
  const signed = coordinator.client.sign('POST', path, JSON.stringify(POOL), provider.key);
  return { headers: { ...signed, ...change } };
}

const post = (options: CallOptions): Promise<Answer> => coordinator.client.post(path, POOL, options);

describe('a signed request', () => {
  it('works as it is', async () => {
    expectStatus(await post(tampered({})), 201);
  });

  it('is refused with another body than was signed', async () => {
    const { headers = {} } = tampered({});
    const answer = await refused(() => coordinator.client.post(path, { ...POOL, name: 'mine' }, { headers }));
    expect(answer).toMatchObject({ status: 401, body: { code: 'DIGEST_MISMATCH' } });
  });

  it('is refused with the right digest of another body', async () => {
    const text = JSON.stringify({ ...POOL, name: 'mine' });
    const options = { rawBody: text, ...tampered({ 'content-digest': digestOf(Buffer.from(text)) }) };
    expect(await refused(() => post(options))).toMatchObject({
      status: 401,
      body: { code: 'SIGNATURE_INVALID' },
    });
  });

  it('is refused without its digest', async () => {
    const answer = await refused(() => post(tampered({ 'content-digest': undefined })));
    expect(answer).toMatchObject({ status: 401, body: { code: 'DIGEST_MISMATCH' } });
  });

  it.each(['signature', 'signature-input'])('is refused with half of its headers: no %s', async (name) => {
    const answer = await refused(() => post(tampered({ [name]: undefined })));
    expect(answer).toMatchObject({ status: 401, body: { code: 'SIGNATURE_MALFORMED' } });
  });

  it('is refused with the key of somebody else in its parameters', async () => {
    const signed = coordinator.client.sign('POST', path, JSON.stringify(POOL), keyOf('mallory'));
    const input = signed['signature-input']?.replace(keyOf('mallory').publicKey, provider.key.publicKey);
    const answer = await refused(() => post({ headers: { ...signed, 'signature-input': input } }));
    expect(answer).toMatchObject({ status: 401, body: { code: 'SIGNATURE_INVALID' } });
  });

  it('is refused on another path, method or query than was signed', async () => {
    const { headers = {} } = tampered({});
    const other = await refused(() => coordinator.client.post(`${path}?limit=1`, POOL, { headers }));
    expect(other.body['code']).toBe('SIGNATURE_INVALID');
    const key = provider.key;
    const signed = coordinator.client.sign('GET', '/accounts/me', '', key);
    const deleted = await refused(() =>
      coordinator.client.delete(`/accounts/me/keys/${key.publicKey}`, { headers: signed }),
    );
    expect(deleted.body['code']).toBe('SIGNATURE_INVALID');
  });

  it('is refused where it was made for another host, and says which names are ours', async () => {
    const url = new URL(`/api/v1${path}`, 'https://elsewhere.example');
    const body = Buffer.from(JSON.stringify(POOL));
    const signer = { key: provider.key, clock: coordinator.clock, random: systemRandom };
    const headers = { ...signRequest({ method: 'POST', url, body }, signer), host: url.host };
    const answer = await refused(() => post({ headers }));
    expect(answer).toMatchObject({ status: 421, body: { code: 'REQUEST_MISDIRECTED' } });
    expect(answer.body['detail']).toContain('elsewhere.example');
    expect(answer.body['remedy']).toContain('http://127.0.0.1:8787');
  });

  it.each([-301_000, 301_000])('is refused %i ms away from our clock, which it is told', async (offMs) => {
    const signer = { key: provider.key, clock: coordinator.clock, random: systemRandom, offsetMs: offMs };
    const url = new URL(`/api/v1${path}`, 'http://127.0.0.1:8787');
    const headers = signRequest({ method: 'POST', url, body: Buffer.from(JSON.stringify(POOL)) }, signer);
    const answer = await refused(() => post({ headers }));
    expect(answer).toMatchObject({ status: 401, body: { code: 'SIGNATURE_SKEW' } });
    expect(answer.body['server_time']).toBe(new Date(coordinator.clock.now()).toISOString());
  });
});

describe('a nonce', () => {
  it('is good for one request', async () => {
    const options = tampered({});
    expectStatus(await post(options), 201);
    expect(await refused(() => post(options))).toMatchObject({
      status: 401,
      body: { code: 'SIGNATURE_REPLAYED' },
    });
  });

  it('is good for one of two that come at once', async () => {
    const options = tampered({});
    const answers = await Promise.all([post(options), post(options)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 401]);
    expect(answers.find(({ status }) => status === 401)?.body['code']).toBe('SIGNATURE_REPLAYED');
  });

  it('stays spent over a restart', async () => {
    const options = tampered({});
    expectStatus(await post(options), 201);
    await coordinator.stop(0);
    const { folder, clock } = coordinator;
    coordinator = await startTestCoordinator({ folder, clock });
    expect(await refused(() => post(options))).toMatchObject({ body: { code: 'SIGNATURE_REPLAYED' } });
  });

  it('is spent by a read too', async () => {
    const headers = coordinator.client.sign('GET', '/accounts/me', '', provider.key);
    expectStatus(await coordinator.client.get('/accounts/me', { headers }), 200);
    const again = await refused(() => coordinator.client.get('/accounts/me', { headers }));
    expect(again.body['code']).toBe('SIGNATURE_REPLAYED');
  });

  it('is spent by a request that fails, which cannot succeed later', async () => {
    const body = { name: 'prov' };
    const headers = coordinator.client.sign('POST', '/providers', JSON.stringify(body), keyOf('later'));
    const { key } = { key: await makeAccount(coordinator, 'later') };
    expectStatus(await coordinator.client.post('/providers', body, { key }), 201);
    const first = await refused(() => coordinator.client.post('/providers', body, { headers }));
    expect(first.body['code']).toBe('PROVIDER_EXISTS');
    await coordinator.context.db.write((trx) =>
      trx.deleteFrom('providers').where('pubkey', '=', key.publicKey).execute(),
    );
    const second = await refused(() => coordinator.client.post('/providers', body, { headers }));
    expect(second.body['code']).toBe('SIGNATURE_REPLAYED');
  });

  it('of a key that nobody knows is not kept: it could fill the table', async () => {
    const answer = await refused(() => post({ key: keyOf('nobody') }));
    expect(answer).toMatchObject({ status: 401, body: { code: 'KEY_UNKNOWN' } });
    const { rows } = await coordinator.context.db.read
      .selectFrom('nonces')
      .select('nonce')
      .where('public_key', '=', keyOf('nobody').publicKey)
      .execute()
      .then((rows) => ({ rows }));
    expect(rows).toEqual([]);
  });
});

describe('who signs', () => {
  it('must say so at all', async () => {
    expect(await refused(() => post({}))).toMatchObject({ status: 401, body: { code: 'AUTH_REQUIRED' } });
  });

  it.each([
    ['of a path that is not valid', '/providers/x/pools', JSON.stringify(POOL)],
    ['of a body that is not valid', null, '{"name":7}'],
    ['of a body that is not JSON', null, '{'],
    ['without a body', null, ''],
  ])('is asked for before anything else %s', async (_, target, rawBody) => {
    const call = (options: CallOptions): Promise<Answer> =>
      refused(() => coordinator.client.call('POST', target ?? path, undefined, { rawBody, ...options }));
    expect((await call({})).body['code']).toBe('AUTH_REQUIRED');
    expect((await call({ key: keyOf('nobody') })).body['code']).toBe('KEY_UNKNOWN');
    const renter = await makeAccount(coordinator, 'renter');
    expect((await call({ key: renter })).body['code']).toBe('PERMISSION_DENIED');
    expect((await call({ key: provider.key })).status).toBe(400);
    const cookie = `__Host-dc_session=${'A'.repeat(43)}`;
    expect((await call({ cookie })).body['code']).toBe('SESSION_INVALID');
    await coordinator.context.db.write((trx) =>
      trx.updateTable('account_keys').set({ revoked_at: 1 }).execute(),
    );
    expect((await call({ key: renter })).body['code']).toBe('KEY_REVOKED');
  });

  it('is asked for before what a route prepares: an SSH key is not even read', async () => {
    const body = {
      offering_id: provider.poolId,
      duration_hours: 1,
      ssh_public_key: 'no key',
      payment_method: 'test',
    };
    const rent = (key: SigningKey): Promise<Answer> =>
      refused(() => coordinator.client.post('/contracts', body, { key }));
    expect((await rent(keyOf('nobody'))).body['code']).toBe('KEY_UNKNOWN');
    expect((await rent(provider.key)).body['code']).toBe('SSH_KEY_INVALID');
  });

  it('must not be revoked', async () => {
    const second = keyOf('second');
    await coordinator.context.db.write((trx) =>
      trx
        .insertInto('account_keys')
        .values({
          public_key: second.publicKey,
          account_pubkey: provider.key.publicKey,
          label: '',
          added_at: 1,
          revoked_at: 2,
        })
        .execute(),
    );
    expect(await refused(() => post({ key: second }))).toMatchObject({
      status: 401,
      body: { code: 'KEY_REVOKED' },
    });
  });

  it('must have the permission, which the answer names', async () => {
    const renter = await makeAccount(coordinator, 'renter');
    const answer = await refused(() => post({ key: renter }));
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
    expect(answer.body['detail']).toContain('provider');
  });

  it('must be the provider of the path', async () => {
    const other = await makeProvider(coordinator, 'other');
    const answer = await refused(() => post({ key: other.key }));
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
  });
});

describe('an agent', () => {
  it('cannot do what its delegation does not list', async () => {
    const agent = await makeAgent(coordinator, provider, { permissions: ['heartbeat'] });
    await beat(coordinator, agent);
    const answer = await refused(() => coordinator.client.post('/agents/work/lease', {}, { key: agent }));
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
    expect(answer.body['detail']).toContain('agent:provision');
  });

  it('is no account, and an account is no agent', async () => {
    const agent = await makeAgent(coordinator, provider);
    const asAccount = await refused(() => post({ key: agent }));
    expect(asAccount.body['code']).toBe('PERMISSION_DENIED');
    const asAgent = await refused(() =>
      coordinator.client.post('/agents/work/lease', {}, { key: provider.key }),
    );
    expect(asAgent.body['code']).toBe('PERMISSION_DENIED');
  });

  it.each(['revoked_at', 'expires_at'] as const)('stops at once with %s', async (column) => {
    const agent = await makeAgent(coordinator, provider);
    await beat(coordinator, agent);
    await coordinator.context.db.write((trx) =>
      trx
        .updateTable('agents')
        .set({ [column]: coordinator.clock.now() })
        .execute(),
    );
    const answer = await refused(() => coordinator.client.post('/agents/work/lease', {}, { key: agent }));
    expect(answer).toMatchObject({ status: 401, body: { code: 'KEY_REVOKED' } });
  });
});
