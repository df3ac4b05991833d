import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { addKeyText, loginText } from '@dc/shared/wire/account';
import { beforeEach, describe, expect, it } from 'vitest';
import { dumpDatabase } from '../testing/dump-database.ts';
import { expectStatus, keyOf, makeAccount, makeAgent, makeProvider } from '../testing/people.ts';
import type { Answer, Json } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

let coordinator: TestCoordinator;
beforeEach(async () => {
  coordinator = await startTestCoordinator({ startsWork: false });
});

async function refused(call: () => Promise<Answer>): Promise<Answer> {
  const before = await dumpDatabase(coordinator.context.db.read);
  const answer = await call();
  expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  return answer;
}

const register = (key: SigningKey, change: Json = {}): Promise<Answer> =>
  coordinator.client.post('/accounts', { public_key: key.publicKey, ...change }, { key });

/** The encodings of the points of small order: y = 0, 1, -1 and of order 8, with either sign, canonical or not. */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
];

/** A signature that nobody's private key was needed for: R is the neutral point and S is 0. */
function forge(publicKey: string, body: string): Record<string, string> {
  const signed = coordinator.client.sign('POST', '/accounts', body, keyOf('mallory'));
  const signature = Buffer.from(`01${'00'.repeat(63)}`, 'hex').toString('base64');
  return {
    ...signed,
    'signature-input': signed['signature-input']?.replace(keyOf('mallory').publicKey, publicKey) ?? '',
    signature: `dc=:${signature}:`,
  };
}

describe('POST /accounts', () => {
  it('makes an account of the key that signs, named by it for ever', async () => {
    const key = keyOf('ada');
    const account = expectStatus(await register(key, { username: 'ada', email: 'ada@example.org' }), 201);
    const at = new Date(coordinator.clock.now()).toISOString();
    expect(account).toEqual({
      pubkey: key.publicKey,
      username: 'ada',
      keys: [{ public_key: key.publicKey, label: 'first key', added_at: at }],
      created_at: at,
    });
  });

  it('takes an account without a name', async () => {
    expect(expectStatus(await register(keyOf('ada')), 201)).toMatchObject({ username: null });
    expect(expectStatus(await register(keyOf('bob')), 201)).toMatchObject({ username: null });
  });

  it('is refused for a key that does not sign', async () => {
    const answer = await refused(() =>
      coordinator.client.post('/accounts', { public_key: keyOf('ada').publicKey }, { key: keyOf('bob') }),
    );
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer: '/public_key' }] } });
  });

  it('is refused twice for a key', async () => {
    await makeAccount(coordinator, 'ada');
    expect(await refused(() => register(keyOf('ada')))).toMatchObject({
      status: 409,
      body: { code: 'ACCOUNT_EXISTS' },
    });
  });

  it('is refused for a username that is taken, or that could pass for us', async () => {
    await makeAccount(coordinator, 'ada');
    for (const username of ['ada', 'admin', 'dc-agent', 'sup.port'])
      expect(await refused(() => register(keyOf('bob'), { username }))).toMatchObject({
        status: 409,
        body: { code: 'USERNAME_TAKEN' },
      });
  });

  it.each(['Ada', 'ab', '-ada', 'a b', 'ada\u0301', 'x'.repeat(33)])(
    'is refused for the username %j',
    async (username) => {
      expect((await refused(() => register(keyOf('ada'), { username }))).body['code']).toBe(
        'REQUEST_INVALID',
      );
    },
  );

  it('is refused for the key of an agent', async () => {
    const agent = await makeAgent(coordinator, await makeProvider(coordinator, 'prov'));
    expect((await refused(() => register(agent))).body['code']).toBe('KEY_TAKEN');
  });

  it.each(SMALL_ORDER)('is refused for a key whose signatures anybody can forge: %s', async (publicKey) => {
    const rawBody = JSON.stringify({ public_key: publicKey });
    const headers = { 'content-type': 'application/json', ...forge(publicKey, rawBody) };
    const answer = await refused(() => coordinator.client.post('/accounts', undefined, { rawBody, headers }));
    // Also where the OpenSSL inside this Node lets the forgery pass.
    expect(answer).toMatchObject({ status: 400, body: { code: 'KEY_WEAK' } });
  });

  it('is refused for such a key also where another one signs', async () => {
    const [weak = ''] = SMALL_ORDER;
    const answer = await refused(() =>
      coordinator.client.post('/accounts', { public_key: weak }, { key: keyOf('ada') }),
    );
    expect(answer).toMatchObject({ status: 400, body: { code: 'KEY_WEAK' } });
  });
});

describe('GET /accounts', () => {
  it('me is for accounts', async () => {
    expect((await coordinator.client.get('/accounts/me')).body['code']).toBe('AUTH_REQUIRED');
    expect((await coordinator.client.get('/accounts/me', { key: keyOf('x') })).body['code']).toBe(
      'KEY_UNKNOWN',
    );
  });

  it('by-username shows everybody the keys, and nobody the email', async () => {
    const key = keyOf('ada');
    await register(key, { username: 'ada', email: 'ada@example.org' });
    const answer = await coordinator.client.get('/accounts/by-username/ADA');
    expect(expectStatus(answer, 200)).toMatchObject({ pubkey: key.publicKey });
    expect(answer.text).not.toContain('example.org');
    expect((await coordinator.client.get('/accounts/by-username/bob')).body['code']).toBe(
      'ACCOUNT_NOT_FOUND',
    );
  });
});

describe('the keys of an account', () => {
  let ada: SigningKey;
  beforeEach(async () => {
    ada = await makeAccount(coordinator, 'ada');
  });

  const add = (newKey: SigningKey, change: Json = {}, key = ada): Promise<Answer> => {
    const proof = newKey.sign(Buffer.from(addKeyText(ada.publicKey, newKey.publicKey))).toString('hex');
    return coordinator.client.post(
      '/accounts/me/keys',
      { public_key: newKey.publicKey, proof, ...change },
      { key },
    );
  };
  const remove = (key: SigningKey, by = ada): Promise<Answer> =>
    coordinator.client.delete(`/accounts/me/keys/${key.publicKey}`, { key: by });

  it('can be several, and each speaks for the account', async () => {
    const laptop = keyOf('laptop');
    expectStatus(await add(laptop, { label: 'laptop' }), 201);
    const account = expectStatus(await coordinator.client.get('/accounts/me', { key: laptop }), 200);
    expect(account).toMatchObject({
      pubkey: ada.publicKey,
      keys: [{ label: 'first key' }, { label: 'laptop' }],
    });
  });

  it('come in only with the proof that their holder wants that', async () => {
    const laptop = keyOf('laptop');
    const elsewhere = laptop
      .sign(Buffer.from(addKeyText(keyOf('eve').publicKey, laptop.publicKey)))
      .toString('hex');
    const answer = await refused(() => add(laptop, { proof: elsewhere }));
    expect(answer).toMatchObject({
      status: 401,
      body: { code: 'SIGNATURE_INVALID', errors: [{ pointer: '/proof' }] },
    });
  });

  it.each(SMALL_ORDER)('are never of small order: %s', async (publicKey) => {
    const proof = `${publicKey}${'0'.repeat(64)}`;
    const body = { public_key: publicKey, proof };
    const answer = await refused(() => coordinator.client.post('/accounts/me/keys', body, { key: ada }));
    expect(answer).toMatchObject({ status: 400, body: { code: 'KEY_WEAK' } });
  });

  it('are ten at most', async () => {
    for (let count = 2; count <= 10; count += 1) expectStatus(await add(keyOf(`key ${count}`)), 201);
    expect(await refused(() => add(keyOf('key 11')))).toMatchObject({
      status: 409,
      body: { code: 'KEY_LIMIT' },
    });
  });

  it('belong to nobody else', async () => {
    const bob = await makeAccount(coordinator, 'bob');
    expect((await refused(() => add(bob))).body['code']).toBe('KEY_TAKEN');
    expect((await refused(() => remove(bob))).body['code']).toBe('KEY_NOT_FOUND');
    expect((await refused(() => remove(keyOf('nobody')))).body['code']).toBe('KEY_NOT_FOUND');
  });

  it('stop at once when they are revoked, for ever', async () => {
    const laptop = keyOf('laptop');
    await add(laptop);
    expect((await remove(laptop)).status).toBe(204);
    expect((await coordinator.client.get('/accounts/me', { key: laptop })).body['code']).toBe('KEY_REVOKED');
    expect((await refused(() => add(laptop))).body['code']).toBe('KEY_TAKEN');
    expect((await refused(() => register(laptop))).body['code']).toBe('KEY_REVOKED');
    expect((await remove(laptop)).status).toBe(204);
  });

  it('end the sessions of the account with them', async () => {
    const { client } = coordinator;
    await add(keyOf('laptop'));
    const asked = await client.post<{ challenge: string }>('/sessions/challenge', {
      public_key: ada.publicKey,
    });
    const { challenge } = asked.body;
    const signature = ada.sign(Buffer.from(loginText('127.0.0.1:8787', challenge))).toString('hex');
    const opened = await client.post('/sessions', { public_key: ada.publicKey, challenge, signature });
    const cookie = String(opened.headers['set-cookie']).split(';')[0] ?? '';
    expectStatus(await client.get('/accounts/me', { cookie }), 200);
    await remove(keyOf('laptop'));
    expect((await client.get('/accounts/me', { cookie })).body['code']).toBe('SESSION_INVALID');
  });

  it('are never none: the last one stays', async () => {
    expect(await refused(() => remove(ada))).toMatchObject({ status: 409, body: { code: 'KEY_LAST' } });
    const laptop = keyOf('laptop');
    await add(laptop);
    expect((await remove(ada, laptop)).status).toBe(204);
    const account = expectStatus(await coordinator.client.get('/accounts/me', { key: laptop }), 200);
    // The name stays, although the key that gave it is gone.
    expect(account).toMatchObject({ pubkey: ada.publicKey, keys: [{ public_key: laptop.publicKey }] });
  });
});
