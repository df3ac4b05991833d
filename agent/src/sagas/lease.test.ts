import { describe, expect, it } from 'vitest';
import { aLease, anOrder } from '../journal/testing/builders.ts';
import { isLeaseHeld, leaseStopsAt } from './lease.ts';

const lease = aLease(anOrder(), { grantedAt: 1_000, expiresAt: 2_000 });

describe('A lease', () => {
  it('lets work go on for 60 % of its time', () => {
    expect(leaseStopsAt(lease)).toBe(1_600);
    expect(isLeaseHeld(lease, 1_599)).toBe(true);
    expect(isLeaseHeld(lease, 1_600)).toBe(false);
  });

  it('that begins later than now is of a time before the clock was set back, and lets none', () => {
    expect(isLeaseHeld(lease, 0)).toBe(true);
    expect(isLeaseHeld({ ...lease, grantedAt: 61_000, expiresAt: 121_000 }, 1_000)).toBe(false);
  });

  it('that is lost, or that was never had, lets none', () => {
    expect(isLeaseHeld({ ...lease, lost: true }, 1_000)).toBe(false);
    expect(isLeaseHeld(null, 0)).toBe(false);
  });
});
