/**
 * Sends signed requests to the coordinator. Everything has a limit: time, size, tries. TLS is always verified and
 * redirects are never followed. A clock that differs is corrected from what the coordinator says.
 */
import { Agent, type Dispatcher } from 'undici';
import { sleep, type Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError, isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { signRequest } from '@dc/shared/signing/sign-request';
import { untilAborted } from '@dc/shared/until-aborted';
import { backoffMs } from '../lib/backoff.ts';
import { parseRetryAfter, refusalError } from './parse-answer.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A server that accepts a request and is silent this long does not answer it any more. */
const REQUEST_TIMEOUT_MS = 30_000;
/** The largest honest answer, 100 leases, is about 300 kB. */
const ANSWER_BYTES_MAX = 2_000_000;
/** A kept connection saves the handshake between two polls. */
const KEEP_ALIVE_MS = 60_000;
const BASE_PATH = '/api/v1';

/** Tries in all, for calls that may be repeated; the loops above try for ever, with longer pauses. */
const TRIES_MAX = 3;
const RETRY = { baseMs: 200, capMs: 2_000 };
/** Whoever asks for a longer pause is told to the caller: no call sleeps for minutes. */
const RETRY_AFTER_MS_MAX = 2_000;

export interface TransportOptions {
  /** Scheme, host and port; a path in it comes before the base path. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Who signs; null for calls that anybody may make. */
  readonly key: SigningKey | null;
}

/** One call. */
export interface Call {
  readonly method: 'GET' | 'POST';
  /** Below /api/v1, with a leading slash. */
  readonly path: string;
  readonly body?: object;
  /** Whether it may be sent again where nobody knows what became of it. */
  readonly isRepeatable: boolean;
  readonly signal: AbortSignal;
}

/** What came back: a JSON body, or null where there was none. */
export interface Answer {
  readonly body: unknown;
  /** The Date header as milliseconds since the epoch; null where there was none. */
  readonly date: number | null;
}

/** The connection to one coordinator. */
export class HttpTransport {
  readonly #options: TransportOptions;
  readonly #agent: Agent;
  #offsetMs = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connect: { timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: true },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxResponseSize: ANSWER_BYTES_MAX,
    });
  }

  /** How far the coordinator's clock is ahead of ours, in milliseconds, as far as we know. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** The coordinator said what time it was while we were waiting for its answer. */
  learnTime(serverMs: number, askedAt: number, answeredAt: number): void {
    this.#offsetMs = Math.round(serverMs - (askedAt + answeredAt) / 2);
  }

  /** Makes a call. Throws an AppError: see `Coordinator`. */
  async send(call: Call): Promise<Answer> {
    const { clock, random } = this.#options;
    let isClockMended = false;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#sendOnce(call);
      } catch (error) {
        if (call.signal.aborted) throw aborted(call.signal);
        if (isAppError(error, 'SIGNATURE_SKEW') && !isClockMended && this.#mendClock(error)) {
          isClockMended = true;
          tries -= 1;
        } else {
          if (!call.isRepeatable || tries >= TRIES_MAX || !mayRetry(error)) throw error;
          await sleep(clock, backoffMs(tries, RETRY, random, error), call.signal).catch(() => {
            throw aborted(call.signal);
          });
        }
      }
    }
  }

  /**
   * Opens a signed GET whose answer is read as it comes. `silenceMsMax` ends it where nothing comes for so long.
   * Aborting `signal` ends it too.
   */
  async open(
    path: string,
    options: { signal: AbortSignal; silenceMsMax: number },
  ): Promise<Dispatcher.ResponseData['body']> {
    // A dispatcher of its own: a stream has no size limit, and no other call waits for its connection.
    const agent = new Agent({
      connect: { timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: true },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: options.silenceMsMax,
      pipelining: 0,
    });
    try {
      const response = await this.#request(agent, { method: 'GET', path, signal: options.signal }, [
        'accept',
        'text/event-stream',
      ]);
      // Its socket would keep the dispatcher, and us, alive.
      response.body.once('close', () => void agent.destroy());
      return response.body;
    } catch (error) {
      void agent.destroy();
      if (options.signal.aborted) throw aborted(options.signal);
      if (isAppError(error, 'SIGNATURE_SKEW')) this.#mendClock(error);
      throw error;
    }
  }

  /** Ends all connections. Idempotent. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #sendOnce(call: Call): Promise<Answer> {
    const { clock } = this.#options;
    const deadline = new AbortController();
    const cancel = clock.schedule(REQUEST_TIMEOUT_MS, () => deadline.abort());
    try {
      const signal = AbortSignal.any([call.signal, deadline.signal]);
      const response = await untilAborted(this.#request(this.#agent, { ...call, signal }, []), signal);
      const text = await response.body.text();
      const body = text === '' ? null : parseJson(text);
      if (body === undefined) throw new AppError('RESPONSE_INVALID', 'The coordinator answered no JSON.');
      return { body, date: dateOf(response.headers) };
    } catch (error) {
      throw isAppError(error) ? error : transportError(error);
    } finally {
      cancel();
    }
  }

  /** Signs and sends once. Resolves with a successful response whose body is still to be read. */
  async #request(
    agent: Agent,
    call: Pick<Call, 'method' | 'path' | 'body' | 'signal'>,
    headers: string[],
  ): Promise<Dispatcher.ResponseData> {
    const { url: base, key, clock, random } = this.#options;
    const url = new URL(base.replace(/\/+$/, '') + BASE_PATH + call.path);
    const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
    const signature =
      key === null
        ? {}
        : signRequest({ method: call.method, url, body }, { key, clock, random, offsetMs: this.#offsetMs });
    if (body !== undefined) headers.push('content-type', 'application/json');
    let response: Dispatcher.ResponseData;
    try {
      response = await agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: call.method,
        headers: [...headers, ...Object.entries(signature).flat()],
        body: body ?? null,
        signal: call.signal,
      });
    } catch (error) {
      throw transportError(error);
    }
    if (response.statusCode < 300) return response;
    const text = await response.body.text().catch(() => ''); // The status alone says enough.
    const retryAfterMs = parseRetryAfter(single(response.headers['retry-after']), clock.now());
    throw refusalError({ status: response.statusCode, body: parseJson(text), retryAfterMs });
  }

  /** False where the coordinator did not say what time it has. */
  #mendClock(error: AppError): boolean {
    const serverTime = Date.parse(String(error.extra['server_time']));
    if (Number.isNaN(serverTime)) return false;
    const now = this.#options.clock.now();
    this.learnTime(serverTime, now, now);
    return true;
  }
}

/** Whether the same call may work a moment later. A fault of theirs may pass, a wrong request of ours will not. */
function mayRetry(error: unknown): boolean {
  if (!isAppError(error) || error.code === 'RESPONSE_INVALID') return false;
  if ((error.retryAfterMs ?? 0) > RETRY_AFTER_MS_MAX) return false;
  return error.isRetryable || error.kind === 'bug';
}

const CERTIFICATE_CODES = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(VERIFY|GET_ISSUER))/;

/** What an error of the network, of TLS or of undici means. */
function transportError(error: unknown): AppError {
  const code = String((error as { code?: unknown }).code);
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
    return new AppError('RESPONSE_INVALID', 'The coordinator answered far more than it should.', {
      cause: error,
    });
  }
  if (CERTIFICATE_CODES.test(code)) {
    return new AppError(
      'COORDINATOR_UNREACHABLE',
      `The coordinator's certificate cannot be trusted (${code}).`,
      {
        remedy: 'Check coordinator.url and the clock of this machine; the check cannot be turned off.',
        cause: error,
      },
    );
  }
  const why = /^[A-Z_]{3,40}$/.test(code) ? code : 'no answer in time';
  return new AppError('COORDINATOR_UNREACHABLE', `The coordinator does not answer (${why}).`, {
    cause: error,
  });
}

const aborted = (signal: AbortSignal): AppError =>
  new AppError('SAGA_ABORTED', 'The call was stopped.', { cause: signal.reason });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // The caller says what it means.
  }
}

const single = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header[0] : header;

function dateOf(headers: Dispatcher.ResponseData['headers']): number | null {
  const date = Date.parse(single(headers['date']) ?? '');
  return Number.isNaN(date) ? null : date;
}
