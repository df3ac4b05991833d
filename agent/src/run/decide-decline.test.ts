import { describe, expect, it } from 'vitest';
import type { ContractView, SagaView } from '../journal/journal.ts';
import { decideDecline, type Conditions } from './decide-decline.ts';

const free = (instances: number) => ({ cpu: 8, memoryMb: 8_192, diskGb: 100, instances });
const FINE: Conditions = {
  fingerprint: { healthy: true, why: 'fine', freeCapacity: free(3) },
  diskFreeBytes: 10_000,
  diskFreeBytesMin: 1_000,
  takesNewWork: true,
};
const begun = {
  contractId: 'c',
  orders: [],
  lease: null,
  instance: null,
  pausedAt: null,
  sagas: [{} as SagaView],
} as ContractView;

describe('new work is handed back', () => {
  it.each<[string, Partial<Conditions>, string]>([
    [
      'while the backend is ill',
      { fingerprint: { healthy: false, why: 'ill', freeCapacity: null } },
      'backend_unavailable',
    ],
    [
      'while there is no room',
      { fingerprint: { healthy: true, why: '', freeCapacity: free(0) } },
      'capacity',
    ],
    ['while the operator lets none come', { takesNewWork: false }, 'maintenance'],
    ['while the disk is almost full', { diskFreeBytes: 999 }, 'maintenance'],
  ])('%s', (_when, change, code) => {
    const conditions = { ...FINE, ...change };
    expect(decideDecline('provision', null, conditions)?.code).toBe(code);
    expect(decideDecline('provision', begun, conditions)).toBeNull();
    for (const kind of ['destroy', 'stop', 'start'] as const)
      expect(decideDecline(kind, null, conditions)).toBeNull();
  });

  it('not while everything is fine, or not known', () => {
    expect(decideDecline('provision', null, FINE)).toBeNull();
    const unknown = { ...FINE, fingerprint: null, diskFreeBytes: null };
    expect(decideDecline('provision', null, unknown)).toBeNull();
    const silent = { ...FINE, fingerprint: { healthy: true, why: '', freeCapacity: null } };
    expect(decideDecline('provision', null, silent)).toBeNull();
  });
});
