/**
 * The running agent's ear for the operator of this machine: a Unix socket beside the journal. The journal has one
 * writer, so that commands that change something ask it. Whoever may write in the state directory may ask.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import Value from 'typebox/value';
import type { Clock } from '@dc/shared/clock';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import { AppError, isAppError } from '@dc/shared/errors';
import type { Log } from '../lib/log.ts';
import { ControlRequestSchema, type ControlAnswer, type ControlRequest } from './control-request.ts';

/** 10,000 saga ids and some. */
const REQUEST_BYTES_MAX = 1_000_000;
/** A request is there at once, or whoever connected has something else in mind. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface ControlParts {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Does it; answers how many it was done to. */
  readonly handle: (request: ControlRequest) => Promise<number | WireExplanation>;
}

export class ControlServer {
  readonly #parts: ControlParts;
  readonly #server: Server;
  readonly #answering = new Set<Promise<void>>();
  readonly #sockets = new Set<Socket>();

  private constructor(parts: ControlParts) {
    this.#parts = parts;
    this.#server = createServer((socket) => this.#onConnection(socket));
  }

  /**
   * Listens. The caller holds the journal's lock: a socket that is there already is a dead agent's. Null where the
   * system does not let us (the path is too long, say): the agent works without, and says so in the log.
   */
  static async open(parts: ControlParts): Promise<ControlServer | null> {
    const control = new ControlServer(parts);
    try {
      rmSync(parts.path, { force: true });
      await new Promise<void>((resolve, reject) => {
        control.#server.once('error', reject);
        control.#server.listen(parts.path, resolve);
      });
      chmodSync(parts.path, 0o600);
      return control;
    } catch (error) {
      parts.log.warn({ path: parts.path, err: error }, 'control.closed');
      return null;
    }
  }

  /** Takes no more requests, and resolves when those under way are answered. Idempotent. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all(this.#answering);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #onConnection(socket: Socket): void {
    const { clock } = this.#parts;
    this.#sockets.add(socket);
    const cancel = clock.schedule(REQUEST_TIMEOUT_MS, () => socket.destroy());
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (text.length > REQUEST_BYTES_MAX) socket.destroy();
      if (end < 0 || socket.destroyed) return;
      cancel();
      socket.removeAllListeners('data');
      const answering = this.#answer(socket, text.slice(0, end)).finally(() =>
        this.#answering.delete(answering),
      );
      this.#answering.add(answering);
    });
    socket.on('error', () => socket.destroy()); // Whoever asked went away.
    socket.on('close', () => {
      cancel();
      this.#sockets.delete(socket);
    });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const answer = await this.#perform(line);
    await new Promise<void>((resolve) => {
      socket.once('close', resolve);
      if (socket.destroyed) resolve();
      else socket.end(`${JSON.stringify(answer)}\n`, () => resolve());
    });
  }

  async #perform(line: string): Promise<ControlAnswer> {
    const { handle, log } = this.#parts;
    try {
      const result = await handle(parseRequest(line));
      return typeof result === 'number' ? { done: result } : { done: 1, explanation: result };
    } catch (error) {
      log.warn({ err: error }, 'control.failed');
      const known = isAppError(error) ? error : new AppError('INTERNAL_BUG');
      return { error: { code: known.code, detail: known.message, remedy: known.remedy } };
    }
  }
}

function parseRequest(line: string): ControlRequest {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch (cause) {
    throw new AppError('REQUEST_INVALID', 'The request is not JSON.', { cause });
  }
  if (!Value.Check(ControlRequestSchema, request)) {
    throw new AppError('REQUEST_INVALID', 'This agent does not know that request.');
  }
  return request;
}
