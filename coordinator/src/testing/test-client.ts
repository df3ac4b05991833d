/** Asks a coordinator in process, as a client that signs would over the wire. */
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { Random } from '@dc/shared/random';
import { signRequest } from '@dc/shared/signing/sign-request';

/** How a call is made. Unsigned where there is neither a key nor a cookie. */
export interface CallOptions {
  key?: SigningKey;
  /** The Cookie header; an Origin of ours goes with it. */
  cookie?: string;
  idempotencyKey?: string;
  /** Over everything else; `undefined` takes one away. */
  headers?: Record<string, string | undefined>;
  /** Sent instead of the body's JSON. */
  rawBody?: string;
}

/** What a test says nothing more about. */
export type Json = Record<string, unknown>;

/** An answer. `body` is what its JSON says: the test knows what it asked for. */
export interface Answer<Body = Json> {
  status: number;
  headers: LightMyRequestResponse['headers'];
  body: Body;
  text: string;
}

export interface TestClient {
  call<Body>(method: string, path: string, body: unknown, options?: CallOptions): Promise<Answer<Body>>;
  get<Body = Json>(path: string, options?: CallOptions): Promise<Answer<Body>>;
  post<Body = Json>(path: string, body?: unknown, options?: CallOptions): Promise<Answer<Body>>;
  put<Body = Json>(path: string, body?: unknown, options?: CallOptions): Promise<Answer<Body>>;
  delete<Body = Json>(path: string, options?: CallOptions): Promise<Answer<Body>>;
  /** The headers of a signed request, to send by hand. */
  sign(method: string, path: string, text: string, key: SigningKey): Record<string, string>;
}

/** A client of `app`. Paths without a leading `/api` or `/health` are below `/api/v1`. */
export function createTestClient(
  app: FastifyInstance,
  { publicUrl, clock, random }: { publicUrl: string; clock: Clock; random: Random },
): TestClient {
  const { host, origin } = new URL(publicUrl);
  const urlOf = (path: string): string => (/^\/(api|health)\//.test(path) ? path : `/api/v1${path}`);
  const sign: TestClient['sign'] = (method, path, text, key) =>
    signRequest(
      { method, url: new URL(urlOf(path), origin), body: Buffer.from(text) },
      { key, clock, random },
    );
  const call: TestClient['call'] = async (method, path, body, options = {}) => {
    const text = options.rawBody ?? (body === undefined ? '' : JSON.stringify(body));
    const headers: Record<string, string | undefined> = {
      host,
      ...(text === '' ? {} : { 'content-type': 'application/json' }),
      ...(options.key === undefined ? {} : sign(method, path, text, options.key)),
      ...(options.cookie === undefined ? {} : { cookie: options.cookie, origin }),
      ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
      ...options.headers,
    };
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const response = await app.inject({
      method: method as 'GET',
      url: urlOf(path),
      headers: sent,
      ...(text === '' ? {} : { payload: text }),
    });
    const isJson = /json\b/.test(String(response.headers['content-type']));
    return {
      status: response.statusCode,
      headers: response.headers,
      body: (isJson && response.payload !== '' ? JSON.parse(response.payload) : undefined) as never,
      text: response.payload,
    };
  };
  return {
    call,
    sign,
    get: (path, options) => call('GET', path, undefined, options),
    post: (path, body = {}, options = {}) => call('POST', path, body, options),
    put: (path, body = {}, options = {}) => call('PUT', path, body, options),
    delete: (path, options) => call('DELETE', path, undefined, options),
  };
}
