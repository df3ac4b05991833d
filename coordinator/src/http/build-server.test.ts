import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type { ConnectionError } from 'fastify';
import { Type } from 'typebox';
import { AppError, ERRORS } from '@dc/shared/errors';
import { closed } from '@dc/shared/wire/schema-parts';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTestClient } from '../testing/test-client.ts';
import { startTestCoordinator, until, type TestCoordinator } from '../testing/test-coordinator.ts';
import { answerBrokenRequest } from './answer-error.ts';
import { buildServer, type ServerOptions } from './build-server.ts';
import { readRoute, streamRoute, type Route } from './route.ts';

const SECRET = 'SQLITE_ERROR: no such table: db.internal.example';

/** Routes that go wrong in every way. */
const ROUTES: Route[] = [
  readRoute({
    method: 'GET',
    url: '/api/v1/bug',
    permission: 'public',
    summary: 'Throws.',
    schema: { response: closed({}) },
    errors: [],
    handle: () => Promise.reject(new Error(SECRET)),
  }),
  readRoute({
    method: 'GET',
    url: '/api/v1/busy',
    permission: 'public',
    summary: 'Is not available.',
    schema: { response: closed({}) },
    errors: [],
    handle: () =>
      Promise.reject(
        new AppError('SERVICE_UNAVAILABLE', undefined, { retryAfterMs: 2500, cause: new Error(SECRET) }),
      ),
  }),
  readRoute({
    method: 'GET',
    url: '/api/v1/loose',
    permission: 'public',
    summary: 'Answers more than its schema allows.',
    schema: { response: closed({ a: Type.Integer() }) },
    errors: [],
    handle: () => Promise.resolve({ status: 200, body: { a: 1, b: 2 } as { a: number } }),
  }),
  readRoute({
    method: 'GET',
    url: '/api/v1/surprise',
    permission: 'public',
    summary: 'Raises a code that it does not declare.',
    schema: { response: closed({}) },
    errors: [],
    handle: () => Promise.reject(new AppError('CONTRACT_STATE')),
  }),
  streamRoute({
    method: 'GET',
    url: '/api/v1/broken-stream',
    permission: 'public',
    summary: 'Fails after it began.',
    schema: { response: Type.String() },
    errors: [],
    produces: 'text/event-stream',
    async handle({ raw }) {
      raw.reply.hijack();
      raw.reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
      raw.reply.raw.write(': hello\n\n');
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error(SECRET);
    },
  }),
  readRoute({
    method: 'GET',
    url: '/page',
    permission: 'public',
    summary: 'A page.',
    schema: { response: closed({}) },
    errors: [],
    handle: () => Promise.reject(new Error(SECRET)),
  }),
];

async function serve(options: ServerOptions = {}) {
  const coordinator: TestCoordinator = await startTestCoordinator({ startsWork: false });
  const app = buildServer(coordinator.context, ROUTES, options);
  onTestFinished(() => app.close());
  await app.ready();
  const { clock, context } = coordinator;
  const client = createTestClient(app, {
    publicUrl: context.config.publicUrl,
    clock,
    random: context.random,
  });
  return { coordinator, app, client };
}

/** A connection that says `text` and keeps listening. */
function talk(port: number, text: string): { text: () => string; isClosed: () => boolean } {
  let heard = '';
  let isClosed = false;
  const socket = connect(port, '127.0.0.1');
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.on('close', () => (isClosed = true)).on('error', () => (isClosed = true));
  socket.write(text);
  onTestFinished(() => void socket.destroy());
  return { text: () => heard, isClosed: () => isClosed };
}

describe('a bug', () => {
  it('is answered without a word of what went wrong, and logged with all of it', async () => {
    const { coordinator, client } = await serve();
    const answer = await client.get('/bug');
    expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL_BUG', status: 500 } });
    expect(answer.text).not.toMatch(/SQLITE|internal\.example|at .*\.ts/);
    const line = coordinator.logged.find(({ msg }) => msg === 'request failed');
    expect(line).toMatchObject({ level: 50, traceId: answer.body['trace_id'], code: 'INTERNAL_BUG' });
    expect(JSON.stringify(line)).toContain(SECRET);
  });

  it('in a stream that has begun cuts it', async () => {
    const { coordinator, app } = await serve();
    await app.listen({ host: '127.0.0.1', port: 0 });
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    let text = '';
    let isClosed = false;
    socket.on('data', (chunk: Buffer) => (text += chunk.toString())).on('close', () => (isClosed = true));
    socket.write('GET /api/v1/broken-stream HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => isClosed);
    expect(text).toContain(': hello');
    expect(text).not.toContain('SQLITE');
    expect(JSON.stringify(coordinator.logged)).toContain(SECRET);
  });
});

describe('a problem document', () => {
  it('says when to come back, of what is not available', async () => {
    const { client } = await serve();
    const answer = await client.get('/busy');
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('3');
    expect(answer.text).not.toContain('SQLITE');
  });

  it('has the members of RFC 9457 and ours, and a type that can be looked up', async () => {
    const { client } = await serve();
    const answer = await client.get('/nothing');
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.body).toEqual({
      type: '/docs/errors#ROUTE_NOT_FOUND',
      title: 'There is nothing at this address.',
      status: 404,
      detail: 'There is nothing at this address.',
      code: 'ROUTE_NOT_FOUND',
      remedy: 'See GET /api/v1/openapi.json for what there is.',
      trace_id: answer.headers['trace-id'],
    });
  });

  it('leads to a page on which its code is explained', async () => {
    const { app, client } = await serve();
    const [path, code] = String((await client.get('/nothing')).body['type']).split('#');
    const page = await app.inject({ method: 'GET', url: path ?? '' });
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.payload).toContain(`id="${code ?? ''}"`);
    expect(page.payload.match(/<dt /g)).toHaveLength(Object.keys(ERRORS).length);
  });

  it('becomes a page for a browser that asked for one, outside of the API', async () => {
    const { app, client } = await serve({
      async sendErrorPage({ raw, traceId }, error) {
        await raw.reply.type('text/html').send(`<p>${error.code} ${traceId}`);
      },
    });
    const headers = { accept: 'text/html,*/*;q=0.8' };
    const page = await app.inject({ method: 'GET', url: '/page', headers });
    expect(page.statusCode).toBe(500);
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.payload).toBe(`<p>INTERNAL_BUG ${String(page.headers['trace-id'])}`);
    const api = await client.get('/bug', { headers });
    expect(api.headers['content-type']).toMatch(/^application\/problem\+json/);
  });
});

describe('in tests', () => {
  it('an answer that its schema does not allow is a bug', async () => {
    const { client } = await serve({ checksAnswers: true });
    expect(await client.get('/loose')).toMatchObject({
      status: 500,
      body: { errors: [{ pointer: '/b', detail: 'is not known here' }] },
    });
  });

  it('an error that was not declared is a bug', async () => {
    const { client } = await serve({ checksAnswers: true });
    const answer = await client.get('/surprise');
    expect(answer.status).toBe(500);
    expect(answer.body['detail']).toContain('CONTRACT_STATE');
    const { client: loose } = await serve();
    expect((await loose.get('/surprise')).status).toBe(409);
  });
});

describe('on the socket', () => {
  async function ask(text: string): Promise<string> {
    const { app } = await serve();
    await app.listen({ host: '127.0.0.1', port: 0 });
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    let answer = '';
    let isClosed = false;
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString())).on('close', () => (isClosed = true));
    socket.end(text);
    await until(() => isClosed);
    return answer;
  }

  it.each([
    ['what is not HTTP', 'hello\r\n\r\n', '400', 'REQUEST_UNREADABLE'],
    [
      'endless headers',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      '431',
      'REQUEST_HEADERS_TOO_LARGE',
    ],
    [
      'two lengths',
      'POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      '400',
      'REQUEST_UNREADABLE',
    ],
  ])('%s is refused by a problem document', async (_, text, status, code) => {
    const answer = await ask(text);
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer).toContain('application/problem+json');
    expect(answer).toContain(`"code":"${code}"`);
  });
});

it('a request that never ends is told that it took too long', () => {
  // Node looks for late requests only every 30 s: this is what it then calls.
  const socket = new PassThrough();
  const late = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  answerBrokenRequest(late as ConnectionError, socket as unknown as Socket);
  const answer = String(socket.read());
  expect(answer).toContain('HTTP/1.1 408 ');
  expect(answer).toContain('"code":"REQUEST_TIMED_OUT"');
});

describe('closing', () => {
  it('ends idle connections at once, answers what is being asked, and takes nothing new', async () => {
    const coordinator = await startTestCoordinator({ startsWork: false });
    const asked = Promise.withResolvers<undefined>();
    const mayAnswer = Promise.withResolvers<undefined>();
    const slow = readRoute({
      method: 'GET',
      url: '/slow',
      permission: 'public',
      summary: 'Takes its time.',
      schema: { response: closed({}) },
      errors: [],
      async handle() {
        asked.resolve(undefined);
        await mayAnswer.promise;
        return { status: 200, body: {} };
      },
    });
    const app = buildServer(coordinator.context, [slow, ...ROUTES]);
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    const idle = talk(port, 'GET /api/v1/busy HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => idle.text().includes('503'));
    const busy = talk(port, 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked.promise;
    const isClosed = app.close();
    await until(() => idle.isClosed());
    expect(busy.isClosed()).toBe(false);
    mayAnswer.resolve(undefined);
    await isClosed;
    await until(() => busy.isClosed());
    expect(busy.text()).toContain('HTTP/1.1 200 OK');
    const late = talk(port, 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => late.isClosed());
    expect(late.text()).toBe('');
  });
});

describe('headers', () => {
  it('keep browsers from guessing, framing and storing', async () => {
    const { client } = await serve();
    const { headers } = await client.get('/nothing');
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
    });
    expect(headers['strict-transport-security']).toBeUndefined();
  });

  it('ask for TLS where there is TLS', async () => {
    const config = { publicUrl: 'https://rent.example.net', payments: { test: false } };
    const { client } = await startTestCoordinator({ config, startsWork: false });
    expect((await client.get('/offerings')).headers['strict-transport-security']).toBe('max-age=31536000');
  });
});

describe('the log', () => {
  it('has neither queries nor secrets', async () => {
    const { coordinator, client } = await serve();
    await client.get('/nothing?token=abc123', {
      headers: { authorization: 'Bearer abc123', cookie: 'a=abc123' },
    });
    expect(coordinator.logged.length).toBeGreaterThan(0);
    expect(JSON.stringify(coordinator.logged)).not.toContain('abc123');
  });
});
