import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signJws } from '../crypto/jws.ts';
import { aKey, failureOf, flipBit } from '../testing/keys.ts';
import { ORDER_KINDS, signOrder, verifyOrder, type OrderPayload } from './order.ts';

const NOW_MS = Date.parse('2026-11-20T12:00:00.000Z');
const coordinator = aKey('coordinator');
const agent = aKey('agent');
const expected = {
  coordinatorKeys: [coordinator.publicKey],
  agentKey: agent.publicKey,
  environment: 'production',
  nowMs: NOW_MS,
};

const contractId = '017f22e2-79b0-7cc3-98c4-dc0c0c07398f';
const spec = {
  offering_id: '017f22e2-79b0-7cc3-98c4-dc0c0c073990',
  cpu: 1,
  memory_mb: 512,
  disk_gb: 5,
  operating_system: 'debian-13',
  ssh_public_key: 'ssh-ed25519 AAAA',
};
const tombstone = { contract_id: contractId, reason: 'cancelled', at: '2026-11-20T12:00:00.000Z' };

/** An order that nothing is wrong with, except what the test says. */
const anOrder = (changes: Record<string, unknown> = {}): OrderPayload => ({
  iss: coordinator.publicKey,
  aud: agent.publicKey,
  sub: contractId,
  kind: 'provision',
  epoch: 1,
  iat: NOW_MS / 1000,
  exp: NOW_MS / 1000 + 300,
  jti: '017f22e2-79b0-7cc3-98c4-dc0c0c073991',
  environment: 'production',
  spec,
  ...changes,
});

const why = (compact: string, changes: Partial<typeof expected> = {}) => {
  const [code, message] = failureOf(() => verifyOrder(compact, { ...expected, ...changes }));
  expect(code).toBe('ORDER_REFUSED');
  return message;
};

describe('an order', () => {
  it('that was signed for this agent is returned as it was', () => {
    expect(verifyOrder(signOrder(anOrder(), coordinator), expected)).toEqual(anOrder());
  });

  it.each(ORDER_KINDS)('to %s is taken with what it needs', (kind) => {
    const order = anOrder({
      kind,
      spec: undefined,
      ...(kind === 'provision' ? { spec } : {}),
      ...(kind === 'reset_password' ? { spec: { seal_to: [agent.publicKey, coordinator.publicKey] } } : {}),
      ...(kind === 'rotate_ssh_key' ? { spec: { ssh_public_key: 'new', replaces: 'old' } } : {}),
      ...(kind === 'destroy' ? { tombstone } : {}),
    });
    expect(verifyOrder(signOrder(order, coordinator), expected).kind).toBe(kind);
  });

  it('is taken under any of the pinned keys, so that the coordinator can change its key', () => {
    const next = aKey('next coordinator');
    const order = signOrder(anOrder({ iss: next.publicKey }), next);
    expect(why(order)).toContain('a key that is not pinned');
    const keys = [coordinator.publicKey, next.publicKey];
    expect(verifyOrder(order, { ...expected, coordinatorKeys: keys }).sub).toBe(contractId);
  });

  it('may be accepted until its expiry and not after', () => {
    const order = signOrder(anOrder(), coordinator);
    expect(verifyOrder(order, { ...expected, nowMs: NOW_MS + 300_000 }).epoch).toBe(1);
    expect(why(order, { nowMs: NOW_MS + 300_001 })).toContain('it has expired');
  });

  it('from a stolen database, without the key, makes nothing happen (I13)', () => {
    const thief = aKey('thief');
    expect(why(signOrder(anOrder({ kind: 'destroy', tombstone }), thief))).toContain(
      'a key that is not pinned',
    );
    expect(why(signOrder(anOrder({ iss: thief.publicKey, kind: 'destroy', tombstone }), thief))).toContain(
      'not pinned',
    );
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['of another issuer', { iss: aKey('other').publicKey }, 'its issuer is not its signer'],
    ['for another agent', { aud: aKey('other').publicKey }, 'it is for another agent'],
    ['for another environment', { environment: 'staging' }, 'it is for another environment'],
    ['without an environment', { environment: undefined }, 'it is for another environment'],
    ['without a contract', { sub: undefined }, 'a member is missing'],
    ['without an id', { jti: 7 }, 'a member is missing'],
    ['of an unknown kind', { kind: 'format_disk' }, 'a member is missing'],
    ['with a fraction as epoch', { epoch: 1.5 }, 'a member is missing'],
    ['with a text as epoch', { epoch: '1' }, 'a member is missing'],
    ['without a time', { iat: undefined }, 'a member is missing'],
    ['without an end', { exp: undefined }, 'a member is missing'],
    ['that never ends', { exp: 'never' }, 'a member is missing'],
    ['to build nothing', { spec: undefined }, 'it does not say what to build'],
    ['to build null', { spec: null }, 'it does not say what to build'],
    [
      'to build without a key',
      { spec: { ...spec, ssh_public_key: undefined } },
      'it does not say what to build',
    ],
    ['to build with no memory', { spec: { ...spec, memory_mb: 0 } }, 'it does not say what to build'],
    ['to build with a text as size', { spec: { ...spec, cpu: '2' } }, 'it does not say what to build'],
    ...[
      undefined,
      null,
      {},
      { seal_to: [] },
      { seal_to: 'x' },
      { seal_to: [agent.publicKey, agent.publicKey] },
      { seal_to: [7] },
      { seal_to: [`01${'0'.repeat(62)}`] }, // Of small order: anybody could open its box.
      { seal_to: Array.from({ length: 33 }, (_, index) => aKey(String(index)).publicKey) },
    ].map(
      (wrong) =>
        [
          `to make a password for ${JSON.stringify(wrong)?.slice(0, 60)}`,
          { kind: 'reset_password', spec: wrong },
          'whom to seal the password to',
        ] as [string, Record<string, unknown>, string],
    ),
    ['to change the key to nothing', { kind: 'rotate_ssh_key', spec: { replaces: 'x' } }, 'which key takes'],
    ['to destroy without a tombstone (I7)', { kind: 'destroy', spec: undefined }, 'without a tombstone'],
    ['to destroy with an empty one', { kind: 'destroy', tombstone: null }, 'without a tombstone'],
    [
      'to destroy with that of another contract',
      { kind: 'destroy', tombstone: { ...tombstone, contract_id: 'x' } },
      'without a tombstone',
    ],
  ])('%s is refused', (_name, changes, words) => {
    expect(why(signOrder(anOrder(changes), coordinator))).toContain(words);
  });

  it('is no other thing that the coordinator signs', () => {
    expect(why(signJws('dc-checkpoint', anOrder(), coordinator))).toContain('its signature is wrong');
  });

  it.each(['', 'x', 'a.b.c'])('is not %j', (text) => expect(why(text)).toContain('it cannot be read'));

  it.each([null, 5, 'text', [], true])('is not a signed %j', (payload) => {
    expect(why(signJws('dc-order', payload as object, coordinator))).toMatch(/not an object|its issuer/);
  });

  it('is refused with any one bit changed', () => {
    const compact = signOrder(anOrder({ kind: 'destroy', tombstone }), coordinator);
    fc.assert(
      fc.property(fc.nat(compact.length - 1), fc.nat(7), (index, bit) => {
        why(flipBit(compact, index, bit));
      }),
      { numRuns: 500 },
    );
  });
});
