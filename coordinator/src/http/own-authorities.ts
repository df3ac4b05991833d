/**
 * The names under which this coordinator may be addressed. A signature covers `@authority`: one that was made for
 * another coordinator, or another site, is no signature for this one.
 */
import { AppError } from '@dc/shared/errors';
import { isLoopback } from '../config/loopback.ts';

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];
const WILDCARDS = new Set(['0.0.0.0', '::', '[::]']);

/** Knows our authorities and origins. The listening port joins when it is known. */
export class OwnAuthorities {
  readonly #authorities = new Set<string>();
  readonly #publicUrl: URL;
  readonly #listenHost: string;

  constructor(publicUrl: string, listenHost: string) {
    this.#publicUrl = new URL(publicUrl);
    this.#listenHost = listenHost.includes(':') ? `[${listenHost.replaceAll(/[[\]]/g, '')}]` : listenHost;
    this.#authorities.add(this.#publicUrl.host);
    if (isLoopback(this.#publicUrl.hostname)) this.#addLoopback(this.#publicUrl.port);
  }

  /** Says which port the server listens on. */
  listensOn(port: number): void {
    if (!WILDCARDS.has(this.#listenHost)) this.#authorities.add(`${this.#listenHost}:${String(port)}`);
    if (isLoopback(this.#listenHost) || isLoopback(this.#publicUrl.hostname)) this.#addLoopback(String(port));
  }

  has(authority: string): boolean {
    return this.#authorities.has(authority);
  }

  /** Throws REQUEST_MISDIRECTED for a request that was meant for another host. */
  assertAddressed(authority: string): void {
    if (this.has(authority)) return;
    const detail = `The request is addressed to "${authority.slice(0, 100)}", which is not a name of this coordinator.`;
    const remedy = `Send it to ${this.#publicUrl.origin}; a proxy in front must pass the Host header on.`;
    throw new AppError('REQUEST_MISDIRECTED', detail, { remedy });
  }

  /** Whether a browser's `Origin` is a page of ours. */
  isOwnOrigin(origin: string): boolean {
    if (origin === this.#publicUrl.origin) return true;
    const [scheme, authority = ''] = origin.split('://');
    // Pages on other names of ours are only ever served on loopback, by plain HTTP.
    return scheme === 'http' && isLoopback(authority.replace(/:\d+$/, '')) && this.has(authority);
  }

  #addLoopback(port: string): void {
    for (const name of LOOPBACK_NAMES) this.#authorities.add(port === '' ? name : `${name}:${port}`);
  }
}
