/** A client of the public API with one key: signs every request (RFC 9421) and reads server-sent events. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { signRequest } from '@dc/shared/signing/sign-request';
import type { WireProblem } from '@dc/shared/wire/schema-parts';

/** An answer that is not a success, with its problem document. */
export class ProblemError extends Error {
  readonly status: number;
  readonly problem: WireProblem;

  constructor(status: number, problem: WireProblem) {
    super(`${problem.code}: ${problem.detail} ${problem.remedy}`);
    this.status = status;
    this.problem = problem;
  }
}

/** One server-sent event. */
export interface ServerEvent {
  id: string | undefined;
  event: string;
  data: unknown;
}

const clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule: (delayMs: number, callback: () => void) => {
    const timer = setTimeout(callback, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};
const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) };

export class ApiClient {
  readonly baseUrl: string;
  readonly key: SigningKey;

  constructor(baseUrl: string, seed: Uint8Array = randomBytes(32)) {
    this.baseUrl = baseUrl;
    this.key = SigningKey.fromSeed(seed);
  }

  get<T>(path: string): Promise<T> {
    return this.call<T>('GET', path);
  }

  post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
    return this.call<T>('POST', path, body, headers);
  }

  /** Signs and sends. Throws ProblemError for a problem document. */
  async call<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> {
    const response = await this.send(method, path, body, headers);
    const text = await response.text();
    const answer: unknown = text === '' ? null : JSON.parse(text);
    if (!response.ok) throw new ProblemError(response.status, answer as WireProblem);
    return answer as T;
  }

  /** Signs and sends, and returns the raw response. */
  send(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const url = new URL(path, this.baseUrl);
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const signature = signRequest({ method, url, body: bytes }, { key: this.key, clock, random });
    return fetch(url, {
      method,
      headers: {
        ...signature,
        ...headers,
        ...(bytes === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(bytes === undefined ? {} : { body: bytes }),
    });
  }

  /** Reads the events of a stream until the caller stops, resuming where it was when the connection breaks. */
  async *events(path: string, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    let lastId: string | undefined;
    while (!signal.aborted) {
      try {
        const url = new URL(path, this.baseUrl);
        const response = await fetch(url, {
          headers: {
            ...signRequest({ method: 'GET', url }, { key: this.key, clock, random }),
            accept: 'text/event-stream',
            ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
          },
          signal,
        });
        if (!response.ok) throw new ProblemError(response.status, (await response.json()) as WireProblem);
        for await (const event of parseEvents(response.body)) {
          lastId = event.id ?? lastId;
          yield event;
        }
      } catch (error) {
        if (signal.aborted || error instanceof ProblemError) throw error;
      }
      await delay(200, undefined, { signal }).catch(() => undefined); // Aborted: the loop ends by its condition.
    }
  }
}

async function* parseEvents(body: ReadableStream<Uint8Array> | null): AsyncGenerator<ServerEvent> {
  if (body === null) return;
  let buffer = '';
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    buffer += decoder.decode(chunk, { stream: true });
    for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
      const event = parseEvent(buffer.slice(0, end));
      buffer = buffer.slice(end + 2);
      if (event !== null) yield event;
    }
  }
}

function parseEvent(block: string): ServerEvent | null {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
  }
  const data = fields.get('data');
  return data === undefined
    ? null
    : { id: fields.get('id'), event: fields.get('event') ?? 'message', data: JSON.parse(data) };
}
