/**
 * Lets a server stop at once: Node closes connections that were used and are idle, but waits for those on which
 * nothing was ever asked, such as the ones that browsers open ahead of time.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export class Connections {
  /** Requests that are not answered yet, for each open connection. */
  readonly #busy = new Map<Socket, number>();
  #isClosing = false;

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#busy.set(socket, 0);
      socket.once('close', () => this.#busy.delete(socket));
    });
    server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
      response.once('close', () => this.#answered(socket));
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
