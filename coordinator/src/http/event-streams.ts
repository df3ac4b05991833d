/**
 * Server-sent events: a stream that a route opens and a slice writes to. Streams only accelerate, so one that cannot
 * keep up is cut: its client comes back and reads the truth.
 */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { CancelTimer, Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';

/** Less than the idle time after which proxies commonly cut a connection (30 to 60 s). */
const HEARTBEAT_MS = 15_000;
/** A client that has this much waiting does not read. */
const BUFFER_BYTES_MAX = 256 * 1024;
/** Tabs and devices of one caller. */
const STREAMS_PER_CALLER_MAX = 50;

/** One event. */
export interface ServerEvent {
  event: string;
  /** Given back by the client as Last-Event-ID when it connects again. */
  id?: string;
  /** Sent as one line of JSON. */
  data: unknown;
}

/** A stream that is open. */
export interface EventStream {
  /** Sends an event. Returns false, and has no effect, once the stream is closed. */
  send(event: ServerEvent): boolean;
  /** Ends the stream. Idempotent. */
  close(): void;
  /** Aborted when the stream has ended, whoever ended it: stop listening and reading then. */
  readonly signal: AbortSignal;
}

/** All open streams of a server. */
export class EventStreams {
  readonly #clock: Clock;
  readonly #streamsMax: number;
  readonly #open = new Map<OpenStream, string>();
  readonly #perCaller = new Map<string, number>();
  #cancelHeartbeat: CancelTimer | null = null;
  #isClosing = false;

  /** `streamsMax`: how many there may be in all. Each holds a connection. */
  constructor(clock: Clock, streamsMax: number) {
    this.#clock = clock;
    this.#streamsMax = streamsMax;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Answers the request of a stream route. `caller` is who it counts for; after a break the client waits `retryMs`
   * before it connects again. Throws SERVICE_UNAVAILABLE when the server closes or holds as many as it can,
   * REQUEST_RATE_LIMITED when this caller does.
   */
  open(reply: FastifyReply, caller: string, retryMs: number): EventStream {
    if (this.#isClosing || this.#open.size >= this.#streamsMax)
      throw new AppError('SERVICE_UNAVAILABLE', 'No more streams can be opened.', { retryAfterMs: 5000 });
    const count = this.#perCaller.get(caller) ?? 0;
    if (count >= STREAMS_PER_CALLER_MAX)
      throw new AppError('REQUEST_RATE_LIMITED', 'Too many streams are open.', { retryAfterMs: 5000 });
    reply.hijack();
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // The connection ends with its stream: a client that stopped reading must not hold up the end of the server.
      connection: 'close',
      // Asks nginx not to collect the stream before passing it on.
      'x-accel-buffering': 'no',
    });
    const stream = new OpenStream(reply.raw, () => this.#forget(stream));
    this.#open.set(stream, caller);
    this.#perCaller.set(caller, count + 1);
    stream.write(`retry: ${String(retryMs)}\n\n`);
    this.#cancelHeartbeat ??= this.#scheduleHeartbeat();
    return stream;
  }

  /** Ends all streams and opens no more. */
  closeAll(): void {
    this.#isClosing = true;
    for (const stream of [...this.#open.keys()]) stream.close();
  }

  #forget(stream: OpenStream): void {
    const caller = this.#open.get(stream);
    if (caller === undefined) return;
    this.#open.delete(stream);
    const left = (this.#perCaller.get(caller) ?? 1) - 1;
    if (left === 0) this.#perCaller.delete(caller);
    else this.#perCaller.set(caller, left);
    if (this.#open.size > 0) return;
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = null;
  }

  #scheduleHeartbeat(): CancelTimer {
    return this.#clock.schedule(HEARTBEAT_MS, () => {
      this.#cancelHeartbeat = this.#open.size === 0 ? null : this.#scheduleHeartbeat();
      for (const stream of [...this.#open.keys()]) stream.write(':\n\n');
    });
  }
}

class OpenStream implements EventStream {
  readonly #response: ServerResponse;
  readonly #ended = new AbortController();
  readonly #forget: () => void;

  constructor(response: ServerResponse, forget: () => void) {
    this.#response = response;
    this.#forget = forget;
    // A client that went away shows as either of them, or as both.
    response.once('close', () => this.#end());
    response.on('error', () => this.#end());
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  send({ event, id, data }: ServerEvent): boolean {
    const head = id === undefined ? '' : `id: ${oneLine(id)}\n`;
    // JSON has no raw line breaks, so one data line is enough.
    return this.write(`${head}event: ${oneLine(event)}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  write(text: string): boolean {
    if (this.#ended.signal.aborted) return false;
    if (this.#response.writableLength > BUFFER_BYTES_MAX) {
      this.#response.destroy();
      this.#end();
      return false;
    }
    this.#response.write(text);
    return true;
  }

  close(): void {
    if (this.#ended.signal.aborted) return;
    this.#response.end();
    this.#end();
  }

  #end(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.#forget();
  }
}

const oneLine = (text: string): string => text.replaceAll(/[\r\n\0]/g, ' ');
