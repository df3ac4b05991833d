import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashJws, signJws } from '../crypto/jws.ts';
import { aKey, failureOf, flipBit } from '../testing/keys.ts';
import {
  AGENT_PERMISSIONS,
  signDelegation,
  signGrant,
  verifyDelegation,
  verifyGrant,
  type GrantPayload,
} from './delegation.ts';

const provider = aKey('provider');
const setup = aKey('setup token');
const agent = aKey('agent');
const coordinator = aKey('coordinator');

const payload: GrantPayload = {
  iss: provider.publicKey,
  sub: setup.publicKey,
  coordinator_key: coordinator.publicKey,
  pool_id: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
  permissions: ['provision', 'heartbeat'],
  iat: 1_763_633_000,
  exp: 1_763_636_600,
  delegation_exp: 1_795_000_000,
};
const grant = signGrant(payload, provider);
const delegation = signDelegation(grant, agent.publicKey, 1_763_633_100, setup);

const why = (action: () => unknown) => {
  const [code, message] = failureOf(action);
  expect(code).toBe('GRANT_INVALID');
  return message;
};

describe('a grant', () => {
  it('is returned as the provider signed it', () => {
    expect(verifyGrant(grant)).toEqual(payload);
    expect(
      verifyGrant(signGrant({ ...payload, delegation_exp: null, permissions: [] }, provider)).delegation_exp,
    ).toBeNull();
  });

  it.each<[string, Record<string, unknown>]>([
    ['no setup key', { sub: undefined }],
    ['a setup key that is none', { sub: 'abc' }],
    ['no coordinator key', { coordinator_key: undefined }],
    ['no pool', { pool_id: 7 }],
    ['no permissions', { permissions: undefined }],
    ['permissions as a text', { permissions: 'provision' }],
    ['a permission that nobody knows', { permissions: ['provision', 'admin'] }],
    ['a fraction as its time', { iat: 1.5 }],
    ['no end for the token', { exp: undefined }],
    ['no word about the end of the delegation', { delegation_exp: undefined }],
    ['a text as its end', { delegation_exp: '1795000000' }],
  ])('with %s is refused', (_name, changes) => {
    const changed = { ...payload, ...changes };
    expect(why(() => verifyGrant(signGrant(changed, provider)))).toContain('a member of the grant');
  });

  it('is refused when somebody else signed it in the provider’s name', () => {
    expect(why(() => verifyGrant(signGrant(payload, setup)))).toContain('not signed by its issuer');
  });

  it.each([null, 5, 'text', []])('is not a signed %j', (other) => {
    why(() => verifyGrant(signJws('dc-grant', other as object, provider)));
  });

  it('is no delegation, order or record', () => {
    for (const typ of ['dc-delegation', 'dc-order', 'dc-record'])
      expect(why(() => verifyGrant(signJws(typ, payload, provider)))).toContain('no valid signature');
  });
});

describe('a delegation', () => {
  it('lends the agent what the provider granted, and no more', () => {
    expect(verifyDelegation(grant, delegation)).toEqual({
      agentKey: agent.publicKey,
      providerKey: provider.publicKey,
      coordinatorKey: coordinator.publicKey,
      poolId: payload.pool_id,
      permissions: ['provision', 'heartbeat'],
      grantHash: hashJws(grant),
      tokenExpiresAt: 1_763_636_600_000,
      expiresAt: 1_795_000_000_000,
    });
  });

  it('has no end where the grant has none', () => {
    const endless = signGrant({ ...payload, delegation_exp: null }, provider);
    const { expiresAt } = verifyDelegation(endless, signDelegation(endless, agent.publicKey, 1, setup));
    expect(expiresAt).toBeNull();
  });

  it('does not belong to another grant, be it of the same provider and token', () => {
    const wider = signGrant({ ...payload, permissions: [...AGENT_PERMISSIONS] }, provider);
    expect(why(() => verifyDelegation(wider, delegation))).toContain('does not belong to the grant');
  });

  it('is not made by whoever has no setup token', () => {
    const forged = signDelegation(grant, agent.publicKey, 1, agent);
    expect(why(() => verifyDelegation(grant, forged))).toContain('not signed by the setup token');
    const byProvider = signDelegation(grant, agent.publicKey, 1, provider);
    expect(why(() => verifyDelegation(grant, byProvider))).toContain('not signed by the setup token');
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['no agent', { iss: setup.publicKey, grant: hashJws(grant) }],
    ['an agent that is no key', { iss: setup.publicKey, sub: 'AB', grant: hashJws(grant) }],
    ['another issuer', { iss: agent.publicKey, sub: agent.publicKey, grant: hashJws(grant) }],
    ['no grant', { iss: setup.publicKey, sub: agent.publicKey }],
  ])('that says %s is refused', (_name, other) => {
    why(() => verifyDelegation(grant, signJws('dc-delegation', other as object, setup)));
  });

  it('is refused with any one bit of it or of the grant changed', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(7), (position, bit) => {
        why(() => verifyDelegation(flipBit(grant, position % grant.length, bit), delegation));
        why(() => verifyDelegation(grant, flipBit(delegation, position % delegation.length, bit)));
      }),
      { numRuns: 500 },
    );
  });
});
