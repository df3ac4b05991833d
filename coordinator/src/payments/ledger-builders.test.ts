/** Every set of postings that money may move by: what it takes from, what it puts into, and what it refuses. */
import { describe, expect, it } from 'vitest';
import { makeMoney } from '@dc/shared/money/money';
import {
  creditedToRenter,
  paymentReceived,
  processorFee,
  refundConfirmed,
  refundDecided,
  refundFailed,
  setupFeeReleased,
} from './ledger.ts';
import type { PostingSet } from './ledger.ts';
import {
  disputeFundsReinstated,
  disputeFundsWithdrawn,
  disputeLost,
  disputeOpened,
  disputeWon,
} from './ledger-dispute.ts';
import { payoutConfirmed, payoutFailed, payoutRequested, payoutReversed } from './ledger-payout.ts';
import {
  paidFromWallet,
  refundedToWallet,
  walletRefundConfirmed,
  walletRefundDecided,
  walletRefundFailed,
  walletToppedUp,
} from './ledger-wallet.ts';

const contractId = '01890000-0000-7000-8000-000000000001';
const payoutId = '01890000-0000-7000-8000-000000000002';
const renterPubkey = 'ab'.repeat(32);
const providerPubkey = 'cd'.repeat(32);
const disputeId = 'dp_1';
const cause = 'cause';
const method = 'stripe';
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
const amount = usd(100n);
const movement = { cause, contractId };
const wallet = { cause, renterPubkey, amount };
const dispute = { cause, contractId, disputeId };
const payout = { cause, payoutId, amount };

const moves = ({ postings }: PostingSet): Record<string, number> =>
  Object.fromEntries(
    postings.map((posting) => [posting.account.replace(/:.*/, ''), Number(posting.amountE9s)]),
  );

describe('a set of postings', () => {
  it.each<[string, PostingSet, Record<string, number>]>([
    [
      'a payment with tax on top',
      paymentReceived({ ...movement, method, paid: amount, tax: usd(19n) }),
      { processor: -119, escrow: 100, taxes: 19 },
    ],
    [
      'what the processor keeps',
      processorFee({ ...movement, method, fee: usd(3n) }),
      { payment_fees: -3, processor: 3 },
    ],
    [
      'a set-up fee',
      setupFeeReleased({ ...movement, providerPubkey, toProvider: usd(95n), fee: usd(5n) }),
      { escrow: -100, provider_payable: 95, platform_revenue: 5 },
    ],
    ['a credit', creditedToRenter({ ...movement, amount }), { escrow: -100, renter_credit: 100 }],
    [
      'a refund with what was credited before',
      refundDecided({ ...movement, amount, credit: usd(7n) }),
      { escrow: -100, renter_credit: -7, refund_due: 107 },
    ],
    [
      'a refund of credit alone',
      refundDecided({ ...movement, amount: usd(0n), credit: usd(7n) }),
      { renter_credit: -7, refund_due: 7 },
    ],
    [
      'a refund that arrived, with its tax',
      refundConfirmed({ ...movement, method, amount, tax: usd(19n) }),
      { refund_due: -100, taxes: -19, processor: 119 },
    ],
    [
      'a refund that came back',
      refundFailed({ ...movement, method, amount }),
      { processor: -100, refund_due: 100 },
    ],
    ['a top-up', walletToppedUp({ ...wallet, method }), { processor: -100, renter_wallet: 100 }],
    [
      'a rental from the wallet',
      paidFromWallet({ ...movement, renterPubkey, paid: amount }),
      { renter_wallet: -100, escrow: 100 },
    ],
    [
      'a refund to the wallet',
      refundedToWallet({ ...movement, renterPubkey, amount }),
      { refund_due: -100, renter_wallet: 100 },
    ],
    [
      'wallet money that is to go back',
      walletRefundDecided(wallet),
      { renter_wallet: -100, wallet_refund_due: 100 },
    ],
    [
      'wallet money that went back',
      walletRefundConfirmed({ ...wallet, method }),
      { wallet_refund_due: -100, processor: 100 },
    ],
    [
      'wallet money that came back',
      walletRefundFailed({ ...wallet, method }),
      { processor: -100, renter_wallet: 100 },
    ],
    [
      'a dispute about a rental',
      disputeOpened({ ...dispute, source: { contractId }, amount }),
      { escrow: -100, dispute_held: 100 },
    ],
    [
      'a dispute about a top-up',
      disputeOpened({ ...dispute, contractId: null, source: { renterPubkey }, amount }),
      { renter_wallet: -100, dispute_held: 100 },
    ],
    [
      'what the bank took',
      disputeFundsWithdrawn({ ...dispute, method, amount }),
      { dispute_withdrawn: -100, processor: 100 },
    ],
    [
      'what the bank gave back',
      disputeFundsReinstated({ ...dispute, method, amount }),
      { processor: -100, dispute_withdrawn: 100 },
    ],
    [
      'a dispute that was won',
      disputeWon({ ...dispute, source: { contractId }, held: amount }),
      { dispute_held: -100, escrow: 100 },
    ],
    [
      'a dispute that was lost',
      disputeLost({
        ...dispute,
        withdrawn: amount,
        held: usd(60n),
        fromProvider: { pubkey: providerPubkey, amount: usd(30n) },
      }),
      { dispute_held: -60, provider_payable: -30, platform_revenue: -10, dispute_withdrawn: 100 },
    ],
    [
      'a lost dispute about what was spent',
      disputeLost({ ...dispute, withdrawn: amount, held: usd(0n), fromProvider: null }),
      { platform_revenue: -100, dispute_withdrawn: 100 },
    ],
    [
      'a payout that was requested',
      payoutRequested({ ...payout, providerPubkey }),
      { provider_payable: -100, payout_in_flight: 100 },
    ],
    [
      'a payout that arrived',
      payoutConfirmed({ ...payout, processor: 'icpay' }),
      { payout_in_flight: -100, processor: 100 },
    ],
    [
      'a payout that failed',
      payoutFailed({ ...payout, providerPubkey }),
      { payout_in_flight: -100, provider_payable: 100 },
    ],
    [
      'a payout that came back',
      payoutReversed({ ...payout, processor: 'stripe', providerPubkey }),
      { processor: -100, provider_payable: 100 },
    ],
  ])('says of %s where it comes from and where it goes', (_case, set, expected) => {
    expect(moves(set)).toEqual(expected);
    expect(set.postings.reduce((sum, posting) => sum + posting.amountE9s, 0n)).toBe(0n);
  });

  it('of a lost dispute never covers more than the bank took', () => {
    const lost = { ...dispute, withdrawn: amount, fromProvider: null };
    expect(() => disputeLost({ ...lost, held: usd(101n) })).toThrow('more than the bank took');
    expect(() => disputeLost({ ...lost, held: usd(-1n) })).toThrow('more than the bank took');
  });

  it('is refused where an amount would turn it round', () => {
    expect(() => refundDecided({ ...movement, amount: usd(-1n), credit: usd(2n) })).toThrow('not negative');
    expect(() => payoutRequested({ ...payout, amount: usd(-1n), providerPubkey })).toThrow('positive');
    expect(() => disputeOpened({ ...dispute, source: { contractId }, amount: usd(0n) })).toThrow(
      'moves something',
    );
    expect(() => payoutRequested({ ...payout, payoutId: '../x', providerPubkey })).toThrow('does not name');
  });
});
