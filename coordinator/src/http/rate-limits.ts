/**
 * Who may ask how often. Signed and session requests count for their key or session; requests without either count
 * for their address, and so do refused ones: an address that sends many bad signatures is turned away before the
 * next one is verified. Pages that are read without logging in cannot use up what its neighbours sign.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { CoordinatorConfig } from '../config/config.ts';
import { TokenBuckets } from './token-buckets.ts';

export class RateLimits {
  readonly #keys: TokenBuckets;
  readonly #agents: TokenBuckets;
  readonly #anonymous: TokenBuckets;
  readonly #refused: TokenBuckets;

  constructor(clock: Clock, limits: CoordinatorConfig['rateLimits']) {
    this.#keys = new TokenBuckets(clock, limits.perKeyPerMinute);
    this.#agents = new TokenBuckets(clock, limits.perAgentPerMinute);
    this.#anonymous = new TokenBuckets(clock, limits.perAddressPerMinute);
    this.#refused = new TokenBuckets(clock, limits.perAddressPerMinute);
  }

  /** Counts a request without signature or session. Throws REQUEST_RATE_LIMITED. */
  countAnonymous(ip: string): void {
    refuseFor(this.#anonymous.take(networkOf(ip)), 'from this address');
  }

  /** Before a signature or session is looked at. Throws REQUEST_RATE_LIMITED. */
  assertMayTry(ip: string): void {
    refuseFor(this.#refused.peek(networkOf(ip)), 'refused from this address');
  }

  /** Counts a request whose signature or session did not hold. */
  countRefused(ip: string): void {
    this.#refused.take(networkOf(ip));
  }

  /** Counts a request of a key (or the hash of a session). Throws REQUEST_RATE_LIMITED. */
  countCaller(credential: string, isAgentRoute: boolean): void {
    refuseFor((isAgentRoute ? this.#agents : this.#keys).take(credential), 'with this key or session');
  }
}

function refuseFor(waitMs: number, what: string): void {
  if (waitMs === 0) return;
  throw new AppError('REQUEST_RATE_LIMITED', `Too many requests ${what}.`, { retryAfterMs: waitMs });
}

/** An IPv6 caller has a whole /64 to itself, so that is what counts. */
function networkOf(ip: string): string {
  if (!ip.includes(':') || ip.startsWith('::ffff:')) return ip;
  const [head = '', tail] = ip.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (groups.length < 8 - after.length) groups.push('0');
    groups.push(...after);
  }
  return groups.slice(0, 4).join(':');
}
