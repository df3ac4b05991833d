/**
 * The HTTPS server of the simulated API: reads requests as Proxmox VE does (path, query, form or JSON), finds the
 * route, lets in who may, and writes `{"data": …}`, with the words of an error in the reason phrase.
 */
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { ApiAnswer, ApiRequest } from '../api/answer-request.ts';
import type { Certificate } from './certificate.ts';

const BODY_BYTES_MAX = 16 * 1024 ** 2;

/** Answers one request; `undefined` cuts the connection without an answer. */
export type Answerer = (request: ApiRequest) => Promise<ApiAnswer | undefined>;

export class ApiServer {
  readonly #server: Server;
  readonly #answer: Answerer;
  readonly #sockets = new Set<Socket>();

  private constructor(certificate: Certificate, answer: Answerer) {
    this.#answer = answer;
    this.#server = createServer(
      { key: certificate.keyPem, cert: certificate.certPem },
      (request, response) => {
        void this.#serve(request, response);
      },
    );
    this.#server.on('secureConnection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Starts listening; rejects with the system's error. */
  static async listen(
    host: string,
    port: number,
    certificate: Certificate,
    answer: Answerer,
  ): Promise<ApiServer> {
    const server = new ApiServer(certificate, answer);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen({ host, port }, resolve);
    });
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Shows another certificate from the next connection on, and hangs up the present ones. */
  showCertificate(certificate: Certificate): void {
    this.#server.setSecureContext({ key: certificate.keyPem, cert: certificate.certPem });
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Hangs up and stops listening. Idempotent. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    if (body === null) {
      request.destroy();
      return;
    }
    const answer = await this.#answer({
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      headers: request.headers,
      body,
    });
    if (answer === undefined) response.destroy();
    else write(response, answer);
  }
}

function write(response: ServerResponse, { status, reason, body, headers }: ApiAnswer): void {
  if (response.destroyed) return;
  response.writeHead(status, phrase(reason), {
    'content-type': 'application/json;charset=UTF-8',
    'cache-control': 'max-age=0',
    server: 'pve-api-daemon/3.0',
    ...headers,
  });
  response.end(body);
}

/** What may stand in a status line. */
function phrase(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e\x80-\xff]/g, '?')
    .trim();
}

/** Null where the client goes or says too much. */
function readBody(request: IncomingMessage): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) resolve(null);
      else chunks.push(chunk);
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', () => resolve(null));
    request.once('close', () => resolve(null));
  });
}
