/**
 * The connections of a server. Where they come near the limit of open files, each ends with its answer instead of being
 * kept, so that there is room for the next; the last files are never given to connections, because the database
 * needs some. And it lets a server stop at once: Node closes connections that were used and are idle, but waits for
 * those on which nothing was ever asked, such as the ones that browsers open ahead of time.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Files that are no connections: the database, logs, sockets of jobs that look at instances. */
const FILES_KEPT_BACK = 128;
/** From this part of the limit on, connections are not kept. */
const CROWDED_FROM = 0.96;
/** Of the connections, how many may be streams, which never make room for anybody. */
const STREAMS_SHARE = 0.75;
/** Where the limit is not known: what a process of this kind is commonly given. */
const FILES_MAX_USUAL = 65_536;

/** How many of them a process may hold. */
export interface ConnectionLimits {
  connections: number;
  streams: number;
}

/** The limits of a process that may hold so many open files; null where nobody knows. */
export function connectionLimits(openFilesMax: number | null): ConnectionLimits {
  const connections = Math.max(16, (openFilesMax ?? FILES_MAX_USUAL) - FILES_KEPT_BACK);
  return { connections, streams: Math.floor(connections * STREAMS_SHARE) };
}

export class Connections {
  /** Requests that are not answered yet, for each open connection. */
  readonly #busy = new Map<Socket, number>();
  #isClosing = false;

  /** `onRefused` is told of each connection that there was no room for. */
  constructor(server: Server, max: number, onRefused: () => void) {
    server.maxConnections = max;
    server.on('drop', onRefused);
    server.on('connection', (socket: Socket) => {
      this.#busy.set(socket, 0);
      socket.once('close', () => this.#busy.delete(socket));
    });
    // Before whoever answers it.
    server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
      response.once('close', () => this.#answered(socket));
      if (this.#busy.size >= max * CROWDED_FROM) response.shouldKeepAlive = false;
    });
  }

  /** Ends what is quiet now, and everything else as soon as it has its answer. */
  close(): void {
    this.#isClosing = true;
    for (const [socket, requests] of this.#busy) if (requests === 0) socket.destroy();
  }

  #answered(socket: Socket): void {
    const left = (this.#busy.get(socket) ?? 1) - 1;
    if (this.#busy.has(socket)) this.#busy.set(socket, left);
    if (this.#isClosing && left === 0) socket.destroy();
  }
}
