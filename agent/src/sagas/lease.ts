/** PURE: whether a lease still lets us work (I8). */
import type { Lease } from '../journal/journal.ts';

/**
 * An agent that cannot renew stops when this part of the lease is used up: the rest is for clocks that differ
 * and for calls that are still in flight.
 */
const USABLE_FRACTION = 0.6;
/** A lease that begins later than this from now was granted before the clock was set back: how old it is nobody knows. */
const AHEAD_MS_MAX = 1_000;

/** When work under this lease has to stop unless it is renewed. */
export function leaseStopsAt(lease: Lease): number {
  return lease.lost
    ? lease.grantedAt
    : lease.grantedAt + USABLE_FRACTION * (lease.expiresAt - lease.grantedAt);
}

/** Whether work may go on now. */
export function isLeaseHeld(lease: Lease | null, nowMs: number): boolean {
  if (lease === null || lease.lost || lease.grantedAt > nowMs + AHEAD_MS_MAX) return false;
  return nowMs < leaseStopsAt(lease);
}
