import { describe, expect, it } from 'vitest';
import { CONTRACT_EVENTS, CONTRACT_STATES, nextContractState } from '@dc/shared/state/contract';
import type { Principal } from '../http/principal.ts';
import { maySee, sshCommand, stateError, totalPriceE9s } from './contract-rules.ts';
import { aContract } from './testing/contract-row.ts';

describe('a price', () => {
  it('is the hours and the setup fee', () => {
    expect(totalPriceE9s({ price_per_hour_e9s: 7n, setup_fee_e9s: 5n }, 3)).toBe(26n);
    expect(totalPriceE9s({ price_per_hour_e9s: 0n, setup_fee_e9s: 0n }, 87_600)).toBe(0n);
  });

  it('is exact where a double would not be', () => {
    const price_per_hour_e9s = 9_007_199_254_740_993n;
    expect(totalPriceE9s({ price_per_hour_e9s, setup_fee_e9s: 1n }, 3)).toBe(27_021_597_764_222_980n);
  });

  it('is no larger than what can be booked', () => {
    const max = 2n ** 63n - 1n;
    expect(totalPriceE9s({ price_per_hour_e9s: max, setup_fee_e9s: 0n }, 1)).toBe(max);
    expect(() => totalPriceE9s({ price_per_hour_e9s: max, setup_fee_e9s: 1n }, 1)).toThrow(
      expect.objectContaining({ code: 'MONEY_RANGE' }),
    );
  });
});

describe('who may see a contract', () => {
  const contract = aContract();
  const account = (key: string, isAdmin = false): Principal => ({
    kind: 'account',
    account: key,
    publicKey: key,
    isProvider: true,
    isAdmin,
  });
  const agent = (provider: string, poolId: string): Principal => ({
    kind: 'agent',
    publicKey: 'dd'.repeat(32),
    provider,
    poolId,
    permissions: [],
  });

  it.each<[string, Principal, boolean]>([
    ['its renter', account(contract.renter_pubkey), true],
    ['its provider', account(contract.provider_pubkey), true],
    ['an administrator', account('ee'.repeat(32), true), true],
    ['an agent of its pool', agent(contract.provider_pubkey, contract.pool_id), true],
    ['another account', account('ee'.repeat(32)), false],
    ['an agent of another pool', agent(contract.provider_pubkey, contract.offering_id), false],
    ['an agent of another provider', agent('ee'.repeat(32), contract.pool_id), false],
    ['a key without an account', { kind: 'key', publicKey: contract.renter_pubkey }, false],
    ['nobody', { kind: 'anonymous' }, false],
  ])('%s', (_, principal, sees) => {
    expect(maySee(principal, contract)).toBe(sees);
  });
});

describe('what a state does not allow', () => {
  it.each(CONTRACT_STATES)('%s says what it does allow', (state) => {
    const allowed = CONTRACT_EVENTS.filter((event) => nextContractState(state, event) !== null);
    const { code, message } = stateError(state, 'pause');
    expect(code).toBe('CONTRACT_STATE');
    expect(message).toContain(`is ${state}`);
    for (const event of allowed) expect(message).toContain(event);
    if (allowed.length === 0) expect(message).toContain('It has ended.');
  });
});

it('shows the login ready to paste', () => {
  expect(sshCommand('203.0.113.7', 2222, 'root')).toBe('ssh -p 2222 root@203.0.113.7');
});
