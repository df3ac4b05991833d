/**
 * A program that behaves like Stripe, for tests and the demo: its HTTP API as the official library speaks it (form
 * bodies, idempotency keys, errors, delays), and webhooks that are signed, repeated, held back and put in another
 * order. Requests and answers are checked against Stripe's published description where that is there.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Stripe from 'stripe';
import type { Clock } from '@dc/shared/clock';
import { parseFormBody } from './form-body.ts';
import { publishedSchema } from './published-schema.ts';
import { StripeBooks, StripeRefusal, type Json } from './stripe-books.ts';
import { StripeMeters } from './stripe-meters.ts';
import { StripeTransfers } from './stripe-transfers.ts';

/** An event that waits for its delivery. */
export interface StripeEvent extends Json {
  id: string;
  type: string;
}

/** Where an event goes, and what that answered. */
export type Deliver = (body: string, signature: string) => Promise<number>;

/** What goes wrong with a request: refused before it has an effect, or done without an answer. */
export type Fault = 'unavailable' | 'rate_limited' | 'answer_lost' | 'connection_lost';

export const STAND_IN_KEY = 'sk_test_stand_in';
export const STAND_IN_WEBHOOK_SECRET = 'whsec_stand_in';

interface Kept {
  fingerprint: string;
  status: number;
  text: string;
}

export class StripeStandIn {
  readonly books: StripeBooks;
  readonly meters: StripeMeters;
  readonly transfers: StripeTransfers;
  /** Events in the order in which they happened; `deliver` takes them from here. */
  readonly events: StripeEvent[] = [];
  /** Every request: method, path and body. */
  readonly requests: { method: string; path: string; body: Json; idempotencyKey: string | undefined }[] = [];
  /** What the next requests meet, in order. */
  readonly faults: Fault[] = [];
  /** What does not fit the published description. */
  readonly findings: string[] = [];
  /** The status of refunds that are asked for. */
  refundStatus: 'succeeded' | 'pending' = 'succeeded';
  webhookSecret = STAND_IN_WEBHOOK_SECRET;
  readonly #clock: Clock;
  readonly #schema = publishedSchema();
  readonly #kept = new Map<string, Kept>();
  readonly #server: Server;
  #deliver: Deliver | null = null;
  #planned: { first: number; faults: readonly Fault[] } = { first: 0, faults: [] };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.meters = new StripeMeters(clock);
    this.transfers = new StripeTransfers(clock, (type, object) => this.#emit(type, object));
    this.books = new StripeBooks(
      clock,
      (type, object) => this.#emit(type, object),
      () => this.url,
    );
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  get url(): string {
    const address = this.#server.address() as AddressInfo | null;
    return `http://127.0.0.1:${String(address?.port ?? 0)}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Lets request number `first` (from 1) and those after it meet `faults`. */
  failFrom(first: number, faults: readonly Fault[]): void {
    this.#planned = { first: this.requests.length + first, faults };
  }

  /** As Stripe does after a day. */
  forgetIdempotencyKeys(): void {
    this.#kept.clear();
  }

  /** From here on each event is delivered as it happens, once. */
  deliverTo(deliver: Deliver | null): void {
    this.#deliver = deliver;
  }

  /** Delivers an event, signed now (or `at` another moment, in milliseconds). */
  async send(event: StripeEvent, deliver: Deliver, at = this.#clock.now()): Promise<number> {
    const body = JSON.stringify(event);
    return deliver(body, this.sign(body, at));
  }

  /** The signature header over `body`. */
  sign(body: string, at = this.#clock.now(), secret = this.webhookSecret): string {
    return Stripe.webhooks.generateTestHeaderString({
      payload: body,
      secret,
      timestamp: Math.floor(at / 1000),
    });
  }

  /** An event as Stripe would make it, also of what never happened. */
  makeEvent(type: string, object: Json): StripeEvent {
    const id = `evt_${String(this.events.length + 1).padStart(14, '0')}`;
    const created = Math.floor(this.#clock.now() / 1000);
    const event = { id, object: 'event', api_version: '2026-10-28.endive', created, livemode: false, type };
    return { ...event, data: { object: structuredClone(object) }, pending_webhooks: 1, request: null };
  }

  #emit(type: string, object: Json): void {
    const event = this.makeEvent(type, object);
    this.events.push(event);
    const name = object['object'];
    if (typeof name === 'string') this.#note(this.#schema.checkObject(name, object));
    // Where nobody is there any more, Stripe would try again later; a test brings the event itself.
    if (this.#deliver !== null) this.send(event, this.#deliver).catch(() => undefined);
  }

  #note(finding: string | null): void {
    if (finding !== null) this.findings.push(finding);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '' } = request;
    const { pathname, searchParams } = new URL(url, this.url);
    const text = method === 'POST' ? Buffer.concat(chunks).toString('utf8') : searchParams.toString();
    const body = parseFormBody(text);
    const key = request.headers['idempotency-key'] as string | undefined;
    this.requests.push({ method, path: pathname, body, idempotencyKey: key });
    const planned = this.#planned.faults[this.requests.length - this.#planned.first];
    const fault = planned ?? this.faults.shift();
    if (fault === 'connection_lost') return void response.destroy();
    if (fault === 'unavailable') return send(response, 503, apiError('api_error', 'unavailable'));
    if (fault === 'rate_limited')
      return send(response, 429, apiError('rate_limit_error', 'rate_limit'), { 'retry-after': '2' });
    const answer = this.#answer(request, { method, path: pathname, body, key, text });
    if (fault === 'answer_lost') return void response.destroy();
    send(response, answer.status, answer.text);
  }

  #answer(
    request: IncomingMessage,
    call: { method: string; path: string; body: Json; key: string | undefined; text: string },
  ): { status: number; text: string } {
    if (request.headers.authorization !== `Bearer ${STAND_IN_KEY}`)
      return { status: 401, text: apiError('invalid_request_error', 'api_key_invalid') };
    const fingerprint = `${call.method} ${call.path} ${call.text}`;
    const kept = call.key === undefined ? undefined : this.#kept.get(call.key);
    if (kept !== undefined) {
      if (kept.fingerprint !== fingerprint)
        return { status: 400, text: apiError('idempotency_error', 'idempotency_error') };
      return kept;
    }
    const answer = this.#carryOut(call);
    // Stripe keeps what was decided, also a refusal; not what failed to be a request at all.
    if (call.key !== undefined && call.method === 'POST')
      this.#kept.set(call.key, { fingerprint, ...answer });
    return answer;
  }

  #carryOut({ method, path, body }: { method: string; path: string; body: Json }): {
    status: number;
    text: string;
  } {
    const steps = ROUTES.map((route) => ({ route, match: route.pattern.exec(`${method} ${path}`) }));
    const hit = steps.find(({ match }) => match !== null);
    if (hit === undefined) return { status: 404, text: apiError('invalid_request_error', 'url_invalid') };
    if (method === 'POST') {
      const problem = this.#schema.checkRequest(hit.route.path, method, body);
      this.#note(problem);
      if (problem !== null)
        return { status: 400, text: apiError('invalid_request_error', 'parameter_unknown') };
    }
    try {
      const object = hit.route.run(this, hit.match?.[1] ?? '', body);
      const name = object['object'];
      if (typeof name === 'string' && name !== 'list') this.#note(this.#schema.checkObject(name, object));
      return { status: 200, text: JSON.stringify(object) };
    } catch (error) {
      if (!(error instanceof StripeRefusal)) throw error;
      return { status: error.status, text: JSON.stringify(error.body) };
    }
  }
}

interface StandInRoute {
  pattern: RegExp;
  /** As in the published description. */
  path: string;
  run(standIn: StripeStandIn, id: string, body: Json): Json;
}

const listed = (url: string, data: readonly Json[]): Json => ({ object: 'list', url, has_more: false, data });

function route(method: string, path: string, run: StandInRoute['run']): StandInRoute {
  const pattern = new RegExp(`^${method} ${path.replaceAll(/\{[a-z_]+\}/g, '([A-Za-z0-9_]+)')}$`);
  return { pattern, path, run };
}

const ROUTES: readonly StandInRoute[] = [
  route('POST', '/v1/checkout/sessions', ({ books }, _id, body) => books.createSession(body)),
  route('GET', '/v1/checkout/sessions/{session}', ({ books }, id, body) => {
    const session = books.session(id);
    const isExpanded = (body['expand'] as string[] | undefined)?.includes('payment_intent') === true;
    if (!isExpanded || session.payment_intent === null) return session;
    return { ...session, payment_intent: books.intent(session.payment_intent) };
  }),
  route('POST', '/v1/checkout/sessions/{session}/expire', ({ books }, id) => books.expireSession(id)),
  route('GET', '/v1/payment_intents/{intent}', ({ books }, id) => books.intent(id)),
  route('POST', '/v1/payment_intents/{intent}/capture', ({ books }, id) => books.capture(id)),
  route('POST', '/v1/payment_intents/{intent}/cancel', ({ books }, id) => books.cancel(id)),
  route('POST', '/v1/refunds', (standIn, _id, body) => standIn.books.refund(body, standIn.refundStatus)),
  route('GET', '/v1/refunds', ({ books }, _id, body) =>
    listed(
      '/v1/refunds',
      [...books.refunds.values()].filter((refund) => refund.payment_intent === body['payment_intent']),
    ),
  ),
  route('GET', '/v1/webhook_endpoints', ({ books }) =>
    listed(
      '/v1/webhook_endpoints',
      [...books.endpoints.values()].map(({ secret: _secret, ...endpoint }) => endpoint),
    ),
  ),
  route('POST', '/v1/webhook_endpoints', ({ books }, _id, body) => books.createEndpoint(body)),
  route('POST', '/v1/webhook_endpoints/{webhook_endpoint}', ({ books }, id, body) => {
    const { secret: _secret, ...endpoint } = books.updateEndpoint(id, body);
    return endpoint;
  }),
  route('POST', '/v1/customers', ({ meters }, _id, body) => meters.createCustomer(body)),
  route('GET', '/v1/billing/meters', ({ meters }, _id, body) =>
    listed(
      '/v1/billing/meters',
      [...meters.meters.values()].filter(({ status }) => status === (body['status'] ?? status)),
    ),
  ),
  route('POST', '/v1/billing/meters', ({ meters }, _id, body) => meters.createMeter(body)),
  route('POST', '/v1/billing/meter_events', ({ meters }, _id, body) => meters.createEvent(body)),
  route('GET', '/v1/billing/meters/{meter}/event_summaries', ({ meters }, id, body) =>
    listed(`/v1/billing/meters/${id}/event_summaries`, meters.summaries(id, body)),
  ),
  route('GET', '/v1/accounts/{account}', ({ transfers }, id) => transfers.account(id)),
  route('POST', '/v1/transfers', ({ transfers }, _id, body) => transfers.create(body)),
  route('GET', '/v1/transfers', ({ transfers }, _id, body) => listed('/v1/transfers', transfers.list(body))),
  route('GET', '/v1/transfers/{transfer}', ({ transfers }, id) => transfers.find(id)),
  route('GET', '/v1/balance', () => ({ object: 'balance', livemode: false, available: [], pending: [] })),
];

function apiError(type: string, code: string): string {
  return JSON.stringify({ error: { type, code, message: code } });
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'request-id': 'req_stand_in',
    ...headers,
  });
  response.end(text);
}
