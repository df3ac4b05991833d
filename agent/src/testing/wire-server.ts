/**
 * A small real HTTP server that speaks the wire in front of a MemoryCoordinator: it checks signatures and nonces,
 * answers in JSON and problem documents, and can be told to misbehave. For tests of the HTTP client.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError, isAppError, STATUS_OF_KIND } from '@dc/shared/errors';
import { isSigned, verifyRequest } from '@dc/shared/signing/verify-request';
import type { WireHeartbeat, WireReturnWork } from '@dc/shared/wire/agent';
import type { MemoryCoordinator } from './memory-coordinator.ts';

/** A request as it came in. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What to do instead of answering; undefined for the ordinary answer. */
export type Misbehaviour =
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  | 'hang'
  | 'cut'
  | undefined;

export class WireServer {
  readonly coordinator: MemoryCoordinator;
  readonly seen: SeenRequest[] = [];
  /** Asked before every answer. */
  misbehave: (request: SeenRequest) => Misbehaviour = () => undefined;
  /** Answers to calls of set-up, by method and path. */
  readonly answers = new Map<string, (body: unknown, keyid: string | null) => object>();
  /** The server's own clock, for signatures. */
  now: () => number = () => Date.now();
  readonly #server: Server;
  readonly #nonces = new Set<string>();

  private constructor(coordinator: MemoryCoordinator, server: Server) {
    this.coordinator = coordinator;
    this.#server = server;
  }

  static async start(coordinator: MemoryCoordinator): Promise<WireServer> {
    const server = createServer();
    const wire = new WireServer(coordinator, server);
    server.on('request', (request, response) => void wire.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async stop(): Promise<void> {
    this.coordinator.cutStreams();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: body.toString(),
    };
    this.seen.push(seen);
    const misbehaviour = this.misbehave(seen);
    if (misbehaviour === 'hang') return;
    if (misbehaviour === 'cut') return void request.socket.destroy();
    if (misbehaviour !== undefined) {
      response.writeHead(misbehaviour.status, misbehaviour.headers).end(misbehaviour.body ?? '');
      return;
    }
    try {
      const keyid = this.#verify(seen, body);
      await this.#answer(seen, keyid, response);
    } catch (error) {
      const problem = isAppError(error) ? error : new AppError('INTERNAL_BUG', undefined, { cause: error });
      const { code, message: detail, remedy, extra } = problem;
      response.writeHead(STATUS_OF_KIND[problem.kind], { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ type: 'about:blank', title: code, code, detail, remedy, ...extra }));
    }
  }

  #verify(seen: SeenRequest, body: Buffer): string | null {
    if (!isSigned(seen.headers)) return null;
    const { keyid, nonce } = verifyRequest(
      {
        method: seen.method,
        authority: seen.headers.host ?? '',
        target: seen.path,
        headers: seen.headers,
        body,
      },
      this.now(),
    );
    if (this.#nonces.has(nonce)) throw new AppError('SIGNATURE_REPLAYED');
    this.#nonces.add(nonce);
    return keyid;
  }

  async #answer(seen: SeenRequest, keyid: string | null, response: ServerResponse): Promise<void> {
    const never = new AbortController().signal;
    const { coordinator } = this;
    const path = seen.path.replace(/^\/api\/v1/, '');
    const body = (seen.body === '' ? null : JSON.parse(seen.body)) as Record<string, never>;
    const send = (answer: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    };
    const scripted = this.answers.get(`${seen.method} ${path}`);
    if (scripted !== undefined) return send(scripted(body, keyid));
    if (keyid === null) throw new AppError('AUTH_REQUIRED');
    const [, orderId = '', action] = /^\/agents\/work\/([^/]+)\/(renew|return)$/.exec(path) ?? [];
    if (path === '/agents/stream') return this.#stream(response);
    if (path === '/agents/heartbeat') {
      return send(await coordinator.heartbeat(body as unknown as WireHeartbeat, never));
    }
    if (path === '/agents/work/lease')
      return send({ leases: await coordinator.leaseWork(body['max'] ?? 10, never) });
    if (path === '/agents/records')
      return send(await coordinator.submitRecords(body['records'] ?? [], never));
    if (action === 'renew') {
      const { epoch, ttlMs } = await coordinator.renewLease(orderId, body['epoch'] ?? 0, never);
      return send({ epoch, ttl_ms: ttlMs, expires_at: new Date(this.now() + ttlMs).toISOString() });
    }
    if (action === 'return') {
      await coordinator.returnWork(orderId, body as unknown as WireReturnWork, never);
      response.writeHead(204).end();
      return;
    }
    throw new AppError('ROUTE_NOT_FOUND');
  }

  async #stream(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': welcome\n\n');
    const closed = new AbortController();
    response.on('close', () => closed.abort());
    await this.coordinator
      .readStream(({ name, data }) => response.write(`event: ${name}\ndata: ${data}\n\n`), closed.signal)
      .catch(() => undefined); // The client went away.
    response.end();
  }
}
