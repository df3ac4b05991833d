/**
 * Calls the API of Proxmox VE. Each call has a deadline, and is sent once: whether it may be sent again depends on what
 * it does, and only who makes it knows (I10). TLS is pinned; redirects are never followed.
 *
 * What Proxmox says about a failure stands in the reason phrase (all versions) and in `message` and `errors` of the
 * body (newer ones): https://pve.proxmox.com/wiki/Proxmox_VE_API.
 */
import { Agent } from 'undici';
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { untilAborted } from '@dc/shared/until-aborted';
import { pinnedConnector } from './pinned-connector.ts';
import type { PvePath } from './pve-path.ts';
import { WaitPace } from './wait-pace.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** pveproxy itself gives up on another node, and on a lock, within 30 s. */
const CALL_TIMEOUT_MS = 60_000;
/** /cluster/resources of a thousand guests is about 600 kB. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

/** What a parameter may be. Lists are sent by repeating the name. `undefined` is not sent. */
export type PveParameter = string | number | boolean | readonly string[] | undefined;
export type PveParameters = Readonly<Record<string, PveParameter>>;

/** Proxmox answered, and the answer is no. Its words are for the log and for deciding, never for people. */
export class PveRefusal extends Error {
  /** The HTTP status; 595 to 599 are the proxy's: it could not reach the node. */
  readonly status: number;
  /** Problems by parameter, where it named them. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(status: number, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'PveRefusal';
    this.status = status;
    this.fields = fields;
  }
}

export interface PveClientOptions {
  /** `https://host:8006`. */
  readonly url: string;
  /** `user@realm!name=secret`. Asked for at each call, so that a token can be replaced while we run. */
  readonly token: () => string;
  /** Fingerprints of certificates that are trusted now. */
  readonly pins: () => readonly string[];
  readonly clock: Clock;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** One cluster, through one of its nodes. */
export class PveClient {
  /** What it has learned of how long things take there. */
  readonly pace = new WaitPace();
  readonly #options: PveClientOptions;
  readonly #agent: Agent;
  readonly #origin: string;

  constructor(options: PveClientOptions) {
    this.#options = options;
    this.#origin = new URL(options.url).origin;
    this.#agent = new Agent({
      connect: pinnedConnector(options.pins, { timeoutMs: CONNECT_TIMEOUT_MS }),
      headersTimeout: CALL_TIMEOUT_MS,
      bodyTimeout: CALL_TIMEOUT_MS,
      maxResponseSize: ANSWER_BYTES_MAX,
      // Enough for calls that wait for a lock (10 s each) not to hold up the rest.
      connections: 32,
      pipelining: 1,
    });
  }

  /**
   * Makes a call and answers its `data`. Throws a PveRefusal where Proxmox says no; PROVISIONER_UNAVAILABLE where no
   * answer came, after which nobody knows whether a change was made; PROVISIONER_CERTIFICATE_CHANGED before anything
   * was sent; SAGA_ABORTED when `signal` was aborted.
   */
  async call(
    method: Method,
    path: PvePath,
    parameters: PveParameters,
    signal: AbortSignal,
  ): Promise<unknown> {
    const deadline = new AbortController();
    const cancel = this.#options.clock.schedule(CALL_TIMEOUT_MS, () => deadline.abort());
    try {
      const stopped = AbortSignal.any([signal, deadline.signal]);
      const { status, reason, text } = await untilAborted(
        this.#send({ method, path, parameters }, stopped),
        stopped,
      );
      return dataOf(status, reason, text);
    } catch (error) {
      if (error instanceof PveRefusal || isAppError(error)) throw error;
      if (signal.aborted) throw new AppError('SAGA_ABORTED', 'The call was stopped.', { cause: error });
      throw noAnswer(error);
    } finally {
      cancel();
    }
  }

  get(path: PvePath, signal: AbortSignal, parameters: PveParameters = {}): Promise<unknown> {
    return this.call('GET', path, parameters, signal);
  }

  /** Ends all connections. Idempotent. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(
    { method, path, parameters }: { method: Method; path: PvePath; parameters: PveParameters },
    signal: AbortSignal,
  ): Promise<{ status: number; reason: string; text: string }> {
    const form = encodeParameters(parameters);
    // GET and DELETE take no body; the others must not carry passwords in a URL, which proxies write into logs.
    const inQuery = method === 'GET' || method === 'DELETE';
    const query = inQuery && form !== '' ? `?${form}` : '';
    const response = await this.#agent.request({
      origin: this.#origin,
      path: `/api2/json${path}${query}`,
      method,
      headers: {
        authorization: `PVEAPIToken=${this.#options.token()}`,
        ...(inQuery ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      body: inQuery ? null : form,
      signal,
    });
    const text = await response.body.text();
    return { status: response.statusCode, reason: response.statusText, text };
  }
}

function encodeParameters(parameters: PveParameters): string {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    if (typeof value === 'boolean') form.append(name, value ? '1' : '0');
    else if (typeof value === 'object') for (const item of value) form.append(name, item);
    else form.append(name, String(value));
  }
  return form.toString();
}

/** The `data` of a success. Throws the refusal that the answer is otherwise. */
function dataOf(status: number, reason: string, text: string): unknown {
  const body = parseObject(text);
  if (status >= 200 && status < 300) {
    if (body === undefined || !('data' in body))
      throw new AppError('PROVISIONER_UNAVAILABLE', 'What answers at the Proxmox address is not its API.');
    return body['data'];
  }
  const said = body?.['message'];
  const message = typeof said === 'string' && said.trim() !== '' ? said.trim() : reason;
  throw new PveRefusal(status, message, fieldsOf(body?.['errors']));
}

function fieldsOf(errors: unknown): Record<string, string> {
  if (typeof errors !== 'object' || errors === null) return {};
  return Object.fromEntries(Object.entries(errors).map(([name, detail]) => [name, String(detail)]));
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // A proxy's page, or an answer cut short: the caller judges by the status.
  }
}

function noAnswer(error: unknown): AppError {
  const code = String((error as { code?: unknown }).code);
  const why = /^[A-Z_]{3,40}$/.test(code) ? code : 'no answer in time';
  return new AppError('PROVISIONER_UNAVAILABLE', `The Proxmox host does not answer (${why}).`, {
    cause: error,
  });
}
