import { describe, expect, it } from 'vitest';
import type { UnaccountedInstance } from '../journal/journal.ts';
import type { Instance } from '../provisioners/provisioner.ts';
import {
  contractsInQuestion,
  findUnaccounted,
  GRACE_MS,
  isRipe,
  noteLook,
  type Found,
} from './find-unaccounted.ts';

const NOON = Date.parse('2026-11-20T12:00:00.000Z');
const sealFor = (contractId: string): string => `dc1.${contractId}.test.mac`;

const instance = (id: string, seal: string | null, contractId: string | null): Instance => ({
  handle: { driver: 'memory', version: 1, id },
  seal,
  contractId,
  token: null,
  power: 'running',
  ssh: null,
});

describe('What the journal cannot account for', () => {
  const find = (...listed: Instance[]) =>
    findUnaccounted(listed, {
      sealFor,
      isKnown: (contractId) => contractId === 'c1',
      isElsewhere: (contractId) => contractId === 'c9',
    });

  it('is an orphan where it carries our seal and there is no order for its contract', () => {
    expect(find(instance('known', sealFor('c1'), 'c1'))).toEqual([]);
    expect(find(instance('orphan', sealFor('c2'), 'c2'))).toMatchObject([
      { id: 'orphan', kind: 'orphan', contractId: 'c2', why: null },
    ]);
  });

  it('is foreign where another agent of the provider answers for it, and asked about again', () => {
    const [found] = find(instance('theirs', sealFor('c9'), 'c9'));
    expect(found).toMatchObject({ kind: 'foreign', why: 'another agent of this provider answers for it' });
    const noted = { firstSeenAt: 0, lastSeenAt: 0, timesSeen: 1, destroyAskedAt: null, goneAt: null };
    expect(contractsInQuestion([{ ...found!, ...noted }])).toEqual(['c9']);
    const stranger = { ...find(instance('x', null, 'c2'))[0]!, ...noted };
    expect(contractsInQuestion([stranger])).toEqual([]);
  });

  it.each([
    ['without a seal', instance('x', null, 'c2'), 'it does not carry this provider’s seal'],
    ['without a seal, of a contract that we have', instance('x', null, 'c1'), 'it does not carry'],
    ['without a contract', instance('x', null, null), 'it does not carry'],
    ['of another environment', instance('x', 'dc1.c1.prod.mac', 'c1'), 'it was made in the environment prod'],
    ['with the seal of another contract', instance('x', sealFor('c3'), 'c2'), 'it was made in'],
  ])('is foreign %s', (_what, found, why) => {
    expect(find(found)).toMatchObject([{ kind: 'foreign', why: expect.stringContaining(why) as string }]);
  });
});

describe('A look at the backend', () => {
  const orphan: Found = {
    id: 'o',
    handle: { driver: 'memory', version: 1, id: 'o' },
    kind: 'orphan',
    contractId: 'c2',
    why: null,
  };
  const listed = [instance('o', sealFor('c2'), 'c2')];
  const look = (before: readonly UnaccountedInstance[], now: number, found: readonly Found[] = [orphan]) =>
    noteLook(before, found, { now, listed, complete: true });
  const first = look([], NOON).saved;

  it('remembers since when and how often something was seen', () => {
    expect(first).toMatchObject([{ firstSeenAt: NOON, lastSeenAt: NOON, timesSeen: 1, goneAt: null }]);
    expect(look(first, NOON + 60_000).saved).toMatchObject([
      { firstSeenAt: NOON, lastSeenAt: NOON + 60_000, timesSeen: 2 },
    ]);
  });

  it('forgets what is proved gone, and counts anew when it comes back', () => {
    const gone = noteLook(first, [], { now: NOON + 1, listed: [], complete: true });
    expect(gone).toEqual({ saved: [], removed: ['o'] });
  });

  it('forgets nothing because a list left it out', () => {
    const left = noteLook(first, [], { now: NOON + 1, listed: [], complete: false });
    expect(left).toEqual({ saved: [], removed: [] });
  });

  it('forgets what the journal accounts for by now, whatever else the list left out', () => {
    expect(noteLook(first, [], { now: NOON + 1, listed, complete: false }).removed).toEqual(['o']);
  });

  it('keeps what the operator had destroyed as a record, also where the end of that was not written', () => {
    const [asked] = first.map((one) => ({ ...one, destroyAskedAt: NOON + 1 }));
    const { saved, removed } = noteLook([asked!], [], { now: NOON + 2, listed: [], complete: true });
    expect(saved).toMatchObject([{ id: 'o', destroyAskedAt: NOON + 1, goneAt: NOON + 2 }]);
    expect(removed).toEqual([]);
    expect(noteLook(saved, [], { now: NOON + 3, listed: [], complete: true })).toEqual({
      saved: [],
      removed: [],
    });
    expect(look(saved, NOON + 4).saved).toMatchObject([
      { firstSeenAt: NOON + 4, timesSeen: 1, destroyAskedAt: null, goneAt: null },
    ]);
  });

  it('counts anew what turned from foreign to ours', () => {
    const foreign = first.map((one) => ({ ...one, kind: 'foreign' as const, timesSeen: 9 }));
    expect(look(foreign, NOON + 5).saved).toMatchObject([{ kind: 'orphan', timesSeen: 1 }]);
  });

  it.each([
    ['seen twice, the grace time apart', {}, true],
    ['seen once', { timesSeen: 1 }, false],
    ['seen often in too short a time', { lastSeenAt: NOON + GRACE_MS - 1, timesSeen: 59 }, false],
    ['foreign', { kind: 'foreign' as const }, false],
  ])('lets the operator destroy what was %s: %o is %s', (_what, change, expected) => {
    const old = { ...first[0]!, lastSeenAt: NOON + GRACE_MS, timesSeen: 2, ...change };
    expect(isRipe(old)).toBe(expected);
  });
});
