/**
 * The double-entry ledger, the pure half: account names, what a set of postings is, and the sets that a rental's own
 * money moves by. Those of wallets, disputes and payouts are in the ledger-*.ts beside this file. Storing them is
 * ledger-store.ts; the database checks each set again (docs/money.md, docs/decisions/ledger.md).
 *
 * INVARIANTS:
 * - A posting puts value into its account (positive) or takes it out. A set sums to zero, in one currency.
 * - `processor:…` is the world outside, seen through a payment processor: what renters paid leaves it, what was
 *   sent back returns to it. What it keeps for itself is `payment_fees`. Together the other accounts hold what the
 *   processor holds for us.
 * - A set's cause says what it is for (an event id, a contract and a purpose), never when: a replay has the same one.
 */
import { AppError } from '@dc/shared/errors';
import { makeMoney } from '@dc/shared/money/money';
import type { Money } from '@dc/shared/money/money';

/** What a set of postings was for. */
export type PostingKind =
  | 'payment_received'
  | 'processor_fee'
  | 'setup_fee_released'
  | 'released_to_provider'
  | 'credited_to_renter'
  | 'refund_decided'
  | 'refund_confirmed'
  | 'refund_failed'
  | 'refunded_by_hand'
  | 'refund_by_hand_failed'
  | 'refund_by_hand_counted'
  | 'refund_by_hand_uncounted'
  | 'wallet_topped_up'
  | 'paid_from_wallet'
  | 'usage_charged'
  | 'refunded_to_wallet'
  | 'wallet_refund_decided'
  | 'wallet_refund_confirmed'
  | 'wallet_refund_failed'
  | 'dispute_opened'
  | 'dispute_funds_withdrawn'
  | 'dispute_funds_reinstated'
  | 'dispute_won'
  | 'dispute_lost'
  | 'payout_requested'
  | 'payout_confirmed'
  | 'payout_failed'
  | 'payout_reversed';

/** Value that goes into (positive) or out of an account. */
export interface Posting {
  readonly account: string;
  readonly amountE9s: bigint;
}

/** Postings that happen together or not at all. Only the ledger's own files make them. */
export interface PostingSet {
  /** What this is for; the ledger takes each cause once. */
  readonly cause: string;
  readonly kind: PostingKind;
  readonly contractId: string | null;
  readonly currency: string;
  readonly postings: readonly Posting[];
}

const UUID = /^[0-9a-f-]{36}$/;
const PUBLIC_KEY = /^[0-9a-f]{64}$/;
const CAUSE_LENGTH_MAX = 200;

/** The names of the accounts. Each exists once a currency. Those marked `>= 0` can never go below zero. */
export const accounts = {
  /** The outside world, through one payment method or payout route. */
  processor: (method: string): string => accountName('processor', method, /^[a-z0-9_-]{1,32}$/),
  /** What processors kept for their service: below zero by as much. */
  paymentFees: 'payment_fees',
  /** Collected for the state. */
  taxes: 'taxes',
  /** Ours: fees that we took, less what lost disputes cost us. */
  platformRevenue: 'platform_revenue',
  /** What a renter has put aside with us. >= 0 */
  renterWallet: (pubkey: string): string => accountName('renter_wallet', pubkey, PUBLIC_KEY),
  /** Wallet money on its way back to where it came from, not confirmed. >= 0 */
  walletRefundDue: (pubkey: string): string => accountName('wallet_refund_due', pubkey, PUBLIC_KEY),
  /** Paid for a contract, and neither released, credited nor refunded yet. >= 0 */
  escrow: (contractId: string): string => accountName('escrow', contractId, UUID),
  /** What a renter gets back for time that was not proved, paid with the refund at the end. >= 0 */
  renterCredit: (contractId: string): string => accountName('renter_credit', contractId, UUID),
  /** Refunds that were decided for a contract and that the processor has not confirmed. >= 0 */
  refundDue: (contractId: string): string => accountName('refund_due', contractId, UUID),
  /** Taken out of an escrow or a wallet while a dispute about its payment is open. >= 0 */
  disputeHeld: (disputeId: string): string => accountName('dispute_held', disputeId, /^[A-Za-z0-9_-]{1,64}$/),
  /** What the bank took while it decides: below zero by as much. */
  disputeWithdrawn: (disputeId: string): string =>
    accountName('dispute_withdrawn', disputeId, /^[A-Za-z0-9_-]{1,64}$/),
  /** Earned by a provider and not paid out. Below zero where a lost dispute took back what was paid out. */
  providerPayable: (pubkey: string): string => accountName('provider_payable', pubkey, PUBLIC_KEY),
  /** A payout that was requested and is neither confirmed nor failed. >= 0 */
  payoutInFlight: (payoutId: string): string => accountName('payout_in_flight', payoutId, UUID),
} as const;

/** What each builder needs to know. */
export interface Movement {
  cause: string;
  contractId: string;
}

/**
 * A renter's money for a rental or an extension arrived at the processor: the price is held for the contract. `tax`
 * came on top of it. What the processor keeps is `processorFee`, when it is known.
 */
export function paymentReceived(
  movement: Movement & { method: string; paid: Money; tax?: Money },
): PostingSet {
  const { contractId, method, paid, tax = nothing(paid) } = movement;
  return buildSet(movement, 'payment_received', [
    [accounts.processor(method), negate(paid)],
    [accounts.processor(method), negate(tax)],
    [accounts.escrow(contractId), paid],
    [accounts.taxes, tax],
  ]);
}

/** The processor kept `fee` of what it holds for us. For a contract's payment or, with null, for anything else. */
export function processorFee(movement: {
  cause: string;
  contractId: string | null;
  method: string;
  fee: Money;
}): PostingSet {
  const { method, fee } = movement;
  return buildSet(movement, 'processor_fee', [
    [accounts.paymentFees, negate(fee)],
    [accounts.processor(method), fee],
  ]);
}

interface ReleaseMovement extends Movement {
  providerPubkey: string;
  toProvider: Money;
  fee: Money;
}

/** Proved service: held money becomes the provider's, less the platform's fee (which may be zero). */
export function releasedToProvider(movement: ReleaseMovement): PostingSet {
  return buildRelease(movement, 'released_to_provider');
}

/** The rental became active: the set-up fee is earned, whatever happens later. */
export function setupFeeReleased(movement: ReleaseMovement): PostingSet {
  return buildRelease(movement, 'setup_fee_released');
}

function buildRelease(movement: ReleaseMovement, kind: PostingKind): PostingSet {
  const { contractId, providerPubkey, toProvider, fee } = movement;
  if (toProvider.amountE9s < 0n || fee.amountE9s < 0n) throw refused('a release is not negative');
  return buildSet(movement, kind, [
    [accounts.escrow(contractId), negate(toProvider)],
    [accounts.escrow(contractId), negate(fee)],
    [accounts.providerPayable(providerPubkey), toProvider],
    [accounts.platformRevenue, fee],
  ]);
}

/** Time that was not proved: its price is the renter's, and goes back with the refund at the end. */
export function creditedToRenter(movement: Movement & { amount: Money }): PostingSet {
  const { contractId, amount } = movement;
  return buildSet(movement, 'credited_to_renter', [
    [accounts.escrow(contractId), negate(amount)],
    [accounts.renterCredit(contractId), amount],
  ]);
}

/**
 * Somebody entitled to decided a refund: held money (`amount`), and what was credited before (`credit`), is owed to
 * the renter from now on.
 */
export function refundDecided(movement: Movement & { amount: Money; credit?: Money }): PostingSet {
  const { contractId, amount, credit = nothing(amount) } = movement;
  if (amount.amountE9s < 0n || credit.amountE9s < 0n) throw refused('a refund is not negative');
  return buildSet(movement, 'refund_decided', [
    [accounts.escrow(contractId), negate(amount)],
    [accounts.renterCredit(contractId), negate(credit)],
    [accounts.refundDue(contractId), amount],
    [accounts.refundDue(contractId), credit],
  ]);
}

/** The processor confirmed that it has sent a refund back; `tax` that had come on top of it went back as well. */
export function refundConfirmed(
  movement: Movement & { method: string; amount: Money; tax?: Money },
): PostingSet {
  const { contractId, method, amount, tax = nothing(amount) } = movement;
  return buildSet(movement, 'refund_confirmed', [
    [accounts.refundDue(contractId), negate(amount)],
    [accounts.taxes, negate(tax)],
    [accounts.processor(method), amount],
    [accounts.processor(method), tax],
  ]);
}

/** A refund that was confirmed came back (the card is closed): it is owed again. */
export function refundFailed(
  movement: Movement & { method: string; amount: Money; tax?: Money },
): PostingSet {
  const { contractId, method, amount, tax = nothing(amount) } = movement;
  return buildSet(movement, 'refund_failed', [
    [accounts.processor(method), negate(amount)],
    [accounts.processor(method), negate(tax)],
    [accounts.refundDue(contractId), amount],
    [accounts.taxes, tax],
  ]);
}

/**
 * Makes a set of what moves, one posting an account, without the accounts that get nothing. For the ledger's own
 * files. Throws LEDGER_REFUSED where nothing moves, a first posting does not take from its account, the sum is not
 * zero, the cause is empty or too long; a TypeError where currencies mix.
 */
export function buildSet(
  { cause, contractId }: { cause: string; contractId: string | null },
  kind: PostingKind,
  moves: readonly [string, Money][],
): PostingSet {
  if (cause === '' || cause.length > CAUSE_LENGTH_MAX) throw refused('a cause has 1 to 200 characters');
  const currency = moves[0]?.[1].currency ?? '';
  const byAccount = new Map<string, bigint>();
  for (const [account, money] of moves) {
    if (money.currency !== currency) throw new TypeError(`${currency} and ${money.currency} cannot be mixed`);
    byAccount.set(account, makeMoney((byAccount.get(account) ?? 0n) + money.amountE9s, currency).amountE9s);
  }
  const postings = [...byAccount]
    .map(([account, amountE9s]) => ({ account, amountE9s }))
    .filter((posting) => posting.amountE9s !== 0n);
  const [source] = postings;
  if (source === undefined) throw refused('a set of postings moves something');
  if (source.amountE9s > 0n) throw refused('an amount is positive');
  if (postings.reduce((sum, posting) => sum + posting.amountE9s, 0n) !== 0n)
    throw refused('a set sums to zero');
  return { cause, kind, contractId, currency, postings };
}

/** What leaves the account that gets `-money`. */
export function negate(money: Money): Money {
  return makeMoney(-money.amountE9s, money.currency);
}

function nothing({ currency }: Money): Money {
  return makeMoney(0n, currency);
}

function accountName(kind: string, name: string, pattern: RegExp): string {
  if (!pattern.test(name)) throw refused(`${JSON.stringify(name)} does not name a ${kind} account`);
  return `${kind}:${name}`;
}

/** The error of a set that cannot be. */
export function refused(detail: string): AppError {
  return new AppError('LEDGER_REFUSED', `${detail}.`);
}
