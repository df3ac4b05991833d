import { describe, expect, it } from 'vitest';
import type { Instance } from '../provisioners/provisioner.ts';
import { findOrphans } from './find-orphans.ts';

const instance = (id: string, seal: string | null, contractId: string | null): Instance => ({
  handle: { driver: 'memory', version: 1, id },
  seal,
  contractId,
  token: null,
  power: 'running',
  ssh: null,
});

describe('Finding orphans', () => {
  it('tells our instances without an order from other people’s, and leaves out what is known', () => {
    const known = instance('known', 'sealed', 'contract-1');
    const orphan = instance('orphan', 'sealed', 'contract-2');
    const foreign = instance('foreign', null, 'contract-1');
    const found = findOrphans([known, orphan, foreign], (contractId) => contractId === 'contract-1');
    expect(found).toEqual({ orphans: [orphan], foreign: [foreign] });
  });

  it('counts a sealed instance without a readable contract as an orphan', () => {
    const odd = instance('odd', 'sealed', null);
    expect(findOrphans([odd], () => true).orphans).toEqual([odd]);
  });
});
