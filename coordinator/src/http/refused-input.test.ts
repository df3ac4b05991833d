import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { signRequest } from '@dc/shared/signing/sign-request';
import { beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../lib/system-random.ts';
import { dumpDatabase } from '../testing/dump-database.ts';
import { anOffering, expectStatus, makeAgent, makeProvider } from '../testing/people.ts';
import type { Answer, Json } from '../testing/test-client.ts';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';

let coordinator: TestCoordinator;
let provider: { key: SigningKey; poolId: string };
let path: string;
beforeEach(async () => {
  coordinator = await startTestCoordinator();
  provider = await makeProvider(coordinator, 'prov');
  path = `/providers/${provider.key.publicKey}/offerings`;
});

async function refused(call: () => Promise<Answer>): Promise<Answer> {
  const before = await dumpDatabase(coordinator.context.db.read);
  const answer = await call();
  expect(await dumpDatabase(coordinator.context.db.read)).toEqual(before);
  return answer;
}

const post = (change: Json): Promise<Answer> =>
  coordinator.client.post(path, { ...anOffering(provider.poolId), ...change }, { key: provider.key });

const raw = (text: string): Promise<Answer> =>
  coordinator.client.post(path, undefined, { key: provider.key, rawBody: text });

/** Sends bytes that are no text, signed as they are. */
async function rawBytes(bytes: Buffer): Promise<Answer> {
  const url = new URL(`/api/v1${path}`, 'http://127.0.0.1:8787');
  const { clock, app } = coordinator;
  const signed = signRequest(
    { method: 'POST', url, body: bytes },
    { key: provider.key, clock, random: systemRandom },
  );
  const headers = { host: url.host, 'content-type': 'application/json', ...signed };
  const response = await app.inject({ method: 'POST', url: url.pathname, headers, payload: bytes });
  const body = JSON.parse(response.payload) as Json;
  return { status: response.statusCode, headers: response.headers, body, text: response.payload };
}

describe('a body', () => {
  it.each([
    ['an unknown field', { colour: 'red' }, '/colour', 'is not known here'],
    [
      'an unknown field inside',
      { setup_fee: { amount_e9s: '0', currency: 'USD', tax: 1 } },
      '/setup_fee/tax',
      'is not known here',
    ],
    ['a text for a number', { cpu: '2' }, '/cpu', 'must be integer'],
    ['a fraction', { min_hours: 1.5 }, '/min_hours', 'must be integer'],
    ['zero', { min_hours: 0 }, '/min_hours', 'must be >= 1'],
    ['a negative number', { places: -1 }, '/places', 'must be >= 0'],
    ['null', { title: null }, '/title', 'must be string'],
    [
      'an amount that is no integer',
      { setup_fee: { amount_e9s: '1.5', currency: 'USD' } },
      '/setup_fee/amount_e9s',
      expect.stringContaining('pattern'),
    ],
    ['too long a text', { title: 'x'.repeat(101) }, '/title', expect.stringContaining('100')],
    ['a name with a slash', { 'a/b~c': 1 }, '/a~1b~0c', 'is not known here'],
  ])('with %s is refused by a pointer to it', async (_, change, pointer, detail: unknown) => {
    const answer = await refused(() => post(change));
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    expect(answer.body['errors']).toEqual([{ pointer, detail }]);
  });

  it('with many bad fields is told all of them', async () => {
    const bad = {
      cpu: 0,
      memory_mb: 'x',
      disk_gb: -1,
      country: 'de',
      min_hours: 0,
      max_hours: 0,
      places: 0.5,
      title: '',
      more: 1,
      operating_systems: [],
      price_per_hour: {},
    };
    const answer = await refused(() => post(bad));
    const errors = answer.body['errors'] as { pointer: string }[];
    expect(errors.map(({ pointer }) => pointer).sort()).toEqual([
      '/country',
      '/cpu',
      '/disk_gb',
      '/max_hours',
      '/memory_mb',
      '/min_hours',
      '/more',
      '/operating_systems',
      '/places',
      '/price_per_hour/amount_e9s',
      '/price_per_hour/currency',
      '/title',
    ]);
  });

  it('that lacks fields is told each', async () => {
    const answer = await refused(() => coordinator.client.post('/contracts', {}, { key: provider.key }));
    expect(answer.body['errors']).toContainEqual({ pointer: '/offering_id', detail: 'is missing' });
  });

  it.each([
    '{"title": ',
    '{"a":1}}',
    'title=x',
    '\u0000',
    '{"__proto__": {"isAdmin": true}}',
    '{"constructor": {"prototype": {}}}',
  ])('that is not JSON is refused: %j', async (text) => {
    const answer = await refused(() => raw(text));
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_MALFORMED' } });
    expect(answer.text).not.toContain('Unexpected');
  });

  it('that is not UTF-8 is refused', async () => {
    const bytes = Buffer.from(
      JSON.stringify(anOffering(provider.poolId)).replace('"title":"', '"title":"\u00ff'),
      'latin1',
    );
    const answer = await refused(() => rawBytes(bytes));
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_MALFORMED', detail: 'The body is not UTF-8.' },
    });
  });

  it('with a member that means something to JavaScript is told so', async () => {
    const answer = await refused(() => raw('{"__proto__": {"isAdmin": true}}'));
    expect(answer.body).toMatchObject({
      title: 'The request body cannot be read.',
      detail: expect.stringContaining('__proto__') as string,
    });
    expect((await refused(() => raw('{'))).body['detail']).toBe('The body is not JSON.');
  });

  it.each([
    ['title', 'a\nb'],
    ['title', 'a\u0000b'],
    ['title', 'a\u007fb'],
    ['title', 'a\u009bb'],
    ['title', 'a\u2028b'],
    ['title', 'a\u202eb'],
    ['title', 'a\u2066b'],
    ['description', 'a\tb'],
    ['description', 'a\u001bb'],
    ['description', 'a\u202db'],
  ])('with a control character in its %s is refused: %j', async (name, text) => {
    const answer = await refused(() => post({ [name]: text }));
    expect(answer).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: `/${name}`, detail: 'must not have control characters in it' }] },
    });
  });

  it('may have any letters in a title, and several lines in a description', async () => {
    const body = { ...anOffering(provider.poolId), title: 'Größe – 日本語 🖥 שלום', description: 'a\nb' };
    expectStatus(await coordinator.client.post(path, body, { key: provider.key }), 201);
  });

  it.each(['[]', '"text"', '7', 'null'])('that is JSON but no object is refused: %s', async (text) => {
    expect(await refused(() => raw(text))).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
  });

  it('that is missing is refused', async () => {
    const answer = await refused(() =>
      coordinator.client.call('POST', path, undefined, { key: provider.key }),
    );
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
  });

  it('of more than 64 KiB is refused, and the limit is said', async () => {
    const answer = await refused(() => post({ description: 'x'.repeat(70_000) }));
    expect(answer).toMatchObject({ status: 413, body: { code: 'REQUEST_TOO_LARGE' } });
    expect(answer.body['detail']).toContain('65536');
  });

  it.each(['application/json; charset=utf-8', 'Application/JSON'])(
    'of the type %s is taken',
    async (type) => {
      const body = anOffering(provider.poolId);
      const headers = { 'content-type': type };
      expectStatus(await coordinator.client.post(path, body, { key: provider.key, headers }), 201);
    },
  );

  it.each(['text/plain', 'application/json-patch+json', 'multipart/form-data; boundary=x', ''])(
    'of the type %j is refused',
    async (type) => {
      const headers = { 'content-type': type };
      const body = anOffering(provider.poolId);
      const answer = await refused(() => coordinator.client.post(path, body, { key: provider.key, headers }));
      expect(answer).toMatchObject({ status: 415, body: { code: 'REQUEST_TYPE_UNSUPPORTED' } });
    },
  );

  it.each([
    ['content-encoding', 'gzip'],
    ['content-encoding', 'br'],
    ['content-type', 'application/json; charset=iso-8859-1'],
    ['content-type', 'application/json; charset="utf-16"'],
  ])('with the %s %s is refused', async (name, value) => {
    const body = anOffering(provider.poolId);
    const options = { key: provider.key, headers: { [name]: value } };
    const answer = await refused(() => coordinator.client.post(path, body, options));
    expect(answer).toMatchObject({ status: 415, body: { code: 'REQUEST_TYPE_UNSUPPORTED' } });
  });

  it('with the content-encoding identity is taken', async () => {
    const options = { key: provider.key, headers: { 'content-encoding': 'identity' } };
    expectStatus(await coordinator.client.post(path, anOffering(provider.poolId), options), 201);
  });

  it('of which nothing is required may be left out', async () => {
    const agent = await makeAgent(coordinator, provider);
    const answer = await coordinator.client.call('POST', '/agents/work/lease', undefined, { key: agent });
    expect(expectStatus(answer as Answer, 200)).toEqual({ leases: [] });
  });

  it('where none is taken is refused', async () => {
    const target = `/providers/${provider.key.publicKey}/offerings/01900000-0000-7000-8000-000000000000`;
    const answer = await refused(() =>
      coordinator.client.call('DELETE', target, { x: 1 }, { key: provider.key }),
    );
    expect(answer).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '', detail: 'takes no body' }] },
    });
  });
});

describe('a URL', () => {
  it.each([
    ['an unknown parameter', '/offerings?colour=red', '/query/colour', 'is not known here'],
    ['a parameter twice', '/offerings?limit=1&limit=2', '/query/limit', 'is there more than once'],
    ['a number that is none', '/offerings?limit=ten', '/query/limit', 'must be integer'],
    ['a number in another spelling', '/offerings?limit=0x10', '/query/limit', 'must be integer'],
    ['a number out of range', '/offerings?limit=201', '/query/limit', 'must be <= 200'],
    ['a boolean that is none', '/offerings?in_stock=yes', '/query/in_stock', 'must be boolean'],
    ['a parameter where none is taken', '/providers/x?y=1', '/query/y', 'is not known here'],
    ['an id that is none', '/offerings/7', '/path/id', expect.stringContaining('pattern')],
    [
      'a cursor that we did not make',
      '/offerings?cursor=AAAA',
      '/query/cursor',
      'must be the next_cursor of the page before',
    ],
  ])('with %s is refused', async (_, target, pointer, detail: unknown) => {
    const answer = await coordinator.client.get(target);
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    expect(answer.body['errors']).toContainEqual({ pointer, detail });
  });

  it.each([
    ['a broken escape', '%zz', 'The path is not a valid URL path.'],
    ['an id of 200 characters', 'x'.repeat(200), 'Not valid: /path/id.'],
    ['an id of 5000 characters', 'x'.repeat(5000), 'A part of the path is too long.'],
  ])('with %s is refused, and the log knows its trace_id', async (_, id, detail) => {
    const answer = await coordinator.client.get(`/offerings/${id}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID', detail } });
    expect(answer.headers).toMatchObject({
      'trace-id': answer.body['trace_id'],
      'x-content-type-options': 'nosniff',
    });
    expect(coordinator.logged).toContainEqual(
      expect.objectContaining({ traceId: answer.body['trace_id'], code: 'REQUEST_INVALID' }),
    );
  });

  it('of nothing is 404', async () => {
    expect(await coordinator.client.get('/nothing')).toMatchObject({
      status: 404,
      body: { code: 'ROUTE_NOT_FOUND' },
    });
  });

  it('with another method is 405, and the answer lists what it takes', async () => {
    const answer = await coordinator.client.put('/accounts/me', {});
    expect(answer).toMatchObject({ status: 405, body: { code: 'METHOD_NOT_ALLOWED' } });
    expect(answer.headers['allow']).toBe('GET, HEAD');
  });

  it('of a read answers HEAD without a body', async () => {
    const answer = await coordinator.client.call('HEAD', '/offerings', undefined);
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(Number(answer.headers['content-length'])).toBeGreaterThan(0);
  });
});

describe('numbers and booleans of a query', () => {
  it('are read as what they are', async () => {
    const answer = await coordinator.client.get('/offerings?limit=1&in_stock=false&min_cpu=0');
    expect(expectStatus(answer, 200)).toEqual({ items: [], next_cursor: null });
  });
});
