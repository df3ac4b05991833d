import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { loginText } from '@dc/shared/wire/account';
import { beforeEach, describe, expect, it } from 'vitest';
import { dumpDatabase } from '../testing/dump-database.ts';
import { expectStatus, keyOf, makeAccount } from '../testing/people.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

const AUTHORITY = '127.0.0.1:8787';
const ORIGIN = `http://${AUTHORITY}`;
const DAY_MS = 24 * 60 * 60 * 1000;

let coordinator: TestCoordinator;
let key: SigningKey;
beforeEach(async () => {
  coordinator = await startTestCoordinator({ startsWork: false });
  key = await makeAccount(coordinator, 'ada');
});

async function askChallenge(signer = key): Promise<string> {
  const answer = await coordinator.client.post<{ challenge: string }>('/sessions/challenge', {
    public_key: signer.publicKey,
  });
  return expectStatus(answer, 201).challenge;
}

interface Login {
  signer?: SigningKey;
  challenge: string;
  authority?: string;
  headers?: Record<string, string>;
}

function logIn({ signer = key, challenge, authority = AUTHORITY, headers = {} }: Login): Promise<Answer> {
  const signature = signer.sign(Buffer.from(loginText(authority, challenge))).toString('hex');
  return coordinator.client.post(
    '/sessions',
    { public_key: signer.publicKey, challenge, signature },
    { headers },
  );
}

/** The Cookie header of a new session. */
async function openSession(): Promise<string> {
  const answer = await logIn({ challenge: await askChallenge() });
  expectStatus(answer, 201);
  return String(answer.headers['set-cookie']).split(';')[0] ?? '';
}

describe('logging in', () => {
  it('by a signed challenge sets a cookie that nothing but our own page gets', async () => {
    const answer = await logIn({ challenge: await askChallenge() });
    expect(expectStatus(answer, 201)).toMatchObject({ account: { pubkey: key.publicKey } });
    expect(answer.headers['set-cookie']).toMatch(
      /^__Host-dc_session=[A-Za-z0-9_-]{43}; Max-Age=604800; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
  });

  it('keeps only a hash of the cookie', async () => {
    const token = (await openSession()).split('=')[1] ?? '';
    expect(token).toHaveLength(43);
    expect(JSON.stringify(await dumpDatabase(coordinator.context.db.read))).not.toContain(token);
  });

  it('lets the cookie speak for the account', async () => {
    const cookie = await openSession();
    expect(expectStatus(await coordinator.client.get('/accounts/me', { cookie }), 200)).toMatchObject({
      pubkey: key.publicKey,
    });
    expectStatus(await coordinator.client.post('/providers', { name: 'Ada' }, { cookie }), 201);
  });

  it('works once with a challenge, also for two at once', async () => {
    const challenge = await askChallenge();
    const answers = await Promise.all([logIn({ challenge }), logIn({ challenge })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 401]);
    expect(answers.find(({ status }) => status === 401)?.body['code']).toBe('CHALLENGE_INVALID');
  });

  it('is refused for five minutes and more', async () => {
    const challenge = await askChallenge();
    coordinator.clock.jump(5 * 60 * 1000);
    expect((await logIn({ challenge })).body['code']).toBe('CHALLENGE_INVALID');
  });

  it('is refused with another account’s challenge', async () => {
    const bob = await makeAccount(coordinator, 'bob');
    const challenge = await askChallenge(bob);
    expect((await logIn({ challenge })).body['code']).toBe('CHALLENGE_INVALID');
    expectStatus(await logIn({ challenge, signer: bob }), 201);
  });

  it('is refused with a signature that was made for another site, and the challenge stays good', async () => {
    const challenge = await askChallenge();
    const phished = await logIn({ challenge, authority: 'evil.example' });
    expect(phished).toMatchObject({ status: 401, body: { code: 'SIGNATURE_INVALID' } });
    const passedOn = await logIn({ challenge, authority: 'evil.example', headers: { host: 'evil.example' } });
    expect(passedOn).toMatchObject({ status: 421, body: { code: 'REQUEST_MISDIRECTED' } });
    expectStatus(await logIn({ challenge }), 201);
  });

  it('gives no challenge to a key without an account, or one that was revoked', async () => {
    const ask = (publicKey: string): Promise<Answer> =>
      coordinator.client.post('/sessions/challenge', { public_key: publicKey });
    expect((await ask(keyOf('nobody').publicKey)).body['code']).toBe('ACCOUNT_NOT_FOUND');
    await coordinator.context.db.write((trx) =>
      trx.updateTable('account_keys').set({ revoked_at: 1 }).execute(),
    );
    expect((await ask(key.publicKey)).body['code']).toBe('KEY_REVOKED');
  });

  it('is refused for a key whose signatures anybody can forge', async () => {
    const weak = { public_key: `01${'0'.repeat(62)}` };
    const forged = { ...weak, challenge: 'x', signature: `01${'0'.repeat(126)}` };
    for (const [path, body] of [
      ['/sessions/challenge', weak],
      ['/sessions', forged],
    ] as const)
      expect(await coordinator.client.post(path, body)).toMatchObject({
        status: 400,
        body: { code: 'KEY_WEAK' },
      });
  });

  it('from another site’s page is refused, so that nobody is logged in as somebody else', async () => {
    const challenge = await askChallenge();
    const answer = await logIn({ challenge, headers: { origin: 'https://evil.example' } });
    expect(answer).toMatchObject({ status: 403, body: { code: 'ORIGIN_DENIED' } });
  });

  it('ends the oldest session where an account has twenty', async () => {
    const first = await openSession();
    for (let count = 0; count < 20; count += 1) {
      coordinator.clock.jump(1);
      await openSession();
    }
    expect((await coordinator.client.get('/accounts/me', { cookie: first })).body['code']).toBe(
      'SESSION_INVALID',
    );
    expectStatus(await coordinator.client.get('/accounts/me', { cookie: await openSession() }), 200);
  });
});

describe('a session', () => {
  it('ends after seven days', async () => {
    const cookie = await openSession();
    coordinator.clock.jump(7 * DAY_MS - 1);
    expectStatus(await coordinator.client.get('/accounts/me', { cookie }), 200);
    coordinator.clock.jump(1);
    const answer = await coordinator.client.get('/accounts/me', { cookie });
    expect(answer).toMatchObject({ status: 401, body: { code: 'SESSION_INVALID' } });
  });

  it('that has ended still sees what everybody sees', async () => {
    const cookie = `__Host-dc_session=${'A'.repeat(43)}`;
    expectStatus(await coordinator.client.get('/offerings', { cookie }), 200);
  });

  it('ends by logging out, which also clears the cookie', async () => {
    const cookie = await openSession();
    const answer = await coordinator.client.delete('/sessions/current', { cookie });
    expect(answer.status).toBe(204);
    expect(answer.headers['set-cookie']).toContain('Max-Age=0');
    expect((await coordinator.client.get('/accounts/me', { cookie })).body['code']).toBe('SESSION_INVALID');
  });

  it.each([
    ['another origin', { origin: 'https://evil.example' }],
    ['our host with another port', { origin: 'http://127.0.0.1:9999' }],
    ['our host with another scheme', { origin: 'https://127.0.0.1:8787' }],
    ['a name that only begins like ours', { origin: 'http://127.0.0.1:8787.evil.example' }],
    ['an opaque origin', { origin: 'null' }],
    ['neither header', { origin: undefined }],
    ['another site by Sec-Fetch-Site', { origin: undefined, 'sec-fetch-site': 'same-site' }],
  ])('writes nothing for a page of %s', async (_, headers) => {
    const cookie = await openSession();
    const before = await dumpDatabase(coordinator.context.db.read);
    const answer = await coordinator.client.post('/providers', { name: 'Ada' }, { cookie, headers });
    expect(answer).toMatchObject({ status: 403, body: { code: 'ORIGIN_DENIED' } });
    expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  });

  it.each([
    ['our origin', { origin: ORIGIN }],
    ['our origin by its other loopback name', { origin: 'http://localhost:8787', host: 'localhost:8787' }],
    ['Sec-Fetch-Site alone', { origin: undefined, 'sec-fetch-site': 'same-origin' }],
  ])('writes for a page of %s', async (_, headers) => {
    const cookie = await openSession();
    expectStatus(await coordinator.client.post('/providers', { name: 'Ada' }, { cookie, headers }), 201);
  });

  it('never speaks for a bare key: that takes a signature', async () => {
    const cookie = await openSession();
    const answer = await coordinator.client.post('/accounts', { public_key: key.publicKey }, { cookie });
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
  });
});
