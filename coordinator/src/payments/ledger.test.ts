import { describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { makeMoney } from '@dc/shared/money/money';
import { accounts, paymentReceived, refundConfirmed, refundDecided, releasedToProvider } from './ledger.ts';

const CONTRACT = '01890000-0000-7000-8000-000000000001';
const PROVIDER = 'ab'.repeat(32);
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
const movement = { cause: 'test:1', contractId: CONTRACT };

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return isAppError(error) ? error.code : (error as Error).name;
  }
  return 'no error';
};

describe('a set of postings', () => {
  it('moves a payment from the processor into escrow', () => {
    expect(paymentReceived({ ...movement, method: 'test', paid: usd(10n) })).toEqual({
      cause: 'test:1',
      kind: 'payment_received',
      contractId: CONTRACT,
      currency: 'USD',
      postings: [
        { account: 'processor:test', amountE9s: -10n },
        { account: `escrow:${CONTRACT}`, amountE9s: 10n },
      ],
    });
  });

  it('moves a release from escrow to the provider and the platform', () => {
    const release = { ...movement, providerPubkey: PROVIDER, toProvider: usd(9n) };
    expect(releasedToProvider({ ...release, fee: usd(1n) }).postings).toEqual([
      { account: `escrow:${CONTRACT}`, amountE9s: -10n },
      { account: `provider_payable:${PROVIDER}`, amountE9s: 9n },
      { account: 'platform_revenue', amountE9s: 1n },
    ]);
    expect(releasedToProvider({ ...release, fee: usd(0n) }).postings).toHaveLength(2);
  });

  it('moves a refund from escrow to what is due, and from there to the processor', () => {
    expect(refundDecided({ ...movement, amount: usd(3n) }).postings).toEqual([
      { account: `escrow:${CONTRACT}`, amountE9s: -3n },
      { account: `refund_due:${CONTRACT}`, amountE9s: 3n },
    ]);
    expect(refundConfirmed({ ...movement, method: 'test', amount: usd(3n) }).postings).toEqual([
      { account: `refund_due:${CONTRACT}`, amountE9s: -3n },
      { account: 'processor:test', amountE9s: 3n },
    ]);
  });

  const pay = { ...movement, method: 'test', paid: usd(1n) };
  const release = { ...movement, providerPubkey: PROVIDER, toProvider: usd(1n), fee: usd(1n) };
  it.each<[string, () => unknown]>([
    ['nothing', () => paymentReceived({ ...pay, paid: usd(0n) })],
    ['a negative payment', () => paymentReceived({ ...pay, paid: usd(-1n) })],
    ['a negative refund', () => refundDecided({ ...movement, amount: usd(-1n) })],
    ['a negative confirmation', () => refundConfirmed({ ...movement, method: 'test', amount: usd(-1n) })],
    ['a negative release', () => releasedToProvider({ ...release, toProvider: usd(-1n), fee: usd(2n) })],
    ['a negative fee', () => releasedToProvider({ ...release, toProvider: usd(2n), fee: usd(-1n) })],
    ['no cause', () => paymentReceived({ ...pay, cause: '' })],
    ['an endless cause', () => paymentReceived({ ...pay, cause: 'x'.repeat(201) })],
    ['a contract that is none', () => paymentReceived({ ...pay, contractId: '%' })],
    ['a method that is none', () => paymentReceived({ ...pay, method: 'a:b' })],
    ['a provider that is none', () => releasedToProvider({ ...release, providerPubkey: 'AB'.repeat(32) })],
  ])('is refused for %s', (_case, action) => expect(codeOf(action)).toBe('LEDGER_REFUSED'));

  it('is refused for two currencies, and for what 64 bits cannot hold', () => {
    expect(codeOf(() => releasedToProvider({ ...release, fee: makeMoney(1n, 'EUR') }))).toBe('TypeError');
    const most = usd(2n ** 63n - 1n);
    expect(codeOf(() => releasedToProvider({ ...release, toProvider: most, fee: most }))).toBe('MONEY_RANGE');
  });
});

it('accounts are told apart by kind and name', () => {
  expect(accounts.escrow(CONTRACT)).not.toBe(accounts.refundDue(CONTRACT));
  expect(accounts.platformRevenue).toBe('platform_revenue');
});
