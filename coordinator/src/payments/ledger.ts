/**
 * The double-entry ledger, the pure half: account names, and the sets of postings that money may move by. Storing
 * them is ledger-store.ts; the database checks each set again (docs/decisions/ledger.md).
 *
 * INVARIANTS:
 * - A posting puts value into its account (positive) or takes it out. A set sums to zero, in one currency.
 * - `processor:…` is the world outside, seen through a payment processor: what renters paid leaves it, what was
 *   sent back returns to it. Every other account therefore holds at least nothing, and together they hold what the
 *   processor holds for us.
 * - A set's cause says what it is for (an event id, a contract and a purpose), never when: a replay has the same one.
 */
import { AppError } from '@dc/shared/errors';
import { makeMoney } from '@dc/shared/money/money';
import type { Money } from '@dc/shared/money/money';

/** What a set of postings was for. */
export type PostingKind = 'payment_received' | 'released_to_provider' | 'refund_decided' | 'refund_confirmed';

/** Value that goes into (positive) or out of an account. */
export interface Posting {
  readonly account: string;
  readonly amountE9s: bigint;
}

/** Postings that happen together or not at all. Only this file makes them. */
export interface PostingSet {
  /** What this is for; the ledger takes each cause once. */
  readonly cause: string;
  readonly kind: PostingKind;
  readonly contractId: string | null;
  readonly currency: string;
  readonly postings: readonly Posting[];
}

/** The names of the accounts. Each exists once a currency. */
export const accounts = {
  /** The outside world, through one payment method. */
  processor: (method: string): string => accountName('processor', method, /^[a-z0-9_-]{1,32}$/),
  /** Paid for a contract, and neither released nor refunded yet. */
  escrow: (contractId: string): string => accountName('escrow', contractId, CONTRACT_ID),
  /** Refunds that were decided for a contract and that the processor has not confirmed. */
  refundDue: (contractId: string): string => accountName('refund_due', contractId, CONTRACT_ID),
  /** Earned by a provider and not paid out. */
  providerPayable: (pubkey: string): string => accountName('provider_payable', pubkey, /^[0-9a-f]{64}$/),
  platformRevenue: 'platform_revenue',
} as const;

const CONTRACT_ID = /^[0-9a-f-]{36}$/;
const CAUSE_LENGTH_MAX = 200;

/** What each builder needs to know. */
interface Movement {
  cause: string;
  contractId: string;
}

/** A renter's money arrived at the processor: it is held for the contract. */
export function paymentReceived(movement: Movement & { method: string; paid: Money }): PostingSet {
  const { contractId, method, paid } = movement;
  return buildSet(movement, 'payment_received', [
    [accounts.processor(method), negate(paid)],
    [accounts.escrow(contractId), paid],
  ]);
}

/** Delivered service: held money becomes the provider's, less the platform's fee (which may be zero). */
export function releasedToProvider(
  movement: Movement & { providerPubkey: string; toProvider: Money; fee: Money },
): PostingSet {
  const { contractId, providerPubkey, toProvider, fee } = movement;
  if (toProvider.amountE9s < 0n || fee.amountE9s < 0n) throw refused('a release is not negative');
  return buildSet(movement, 'released_to_provider', [
    [accounts.escrow(contractId), negate(toProvider)],
    [accounts.escrow(contractId), negate(fee)],
    [accounts.providerPayable(providerPubkey), toProvider],
    [accounts.platformRevenue, fee],
  ]);
}

/** Somebody entitled to decided a refund: held money is owed to the renter from now on. */
export function refundDecided(movement: Movement & { amount: Money }): PostingSet {
  const { contractId, amount } = movement;
  return buildSet(movement, 'refund_decided', [
    [accounts.escrow(contractId), negate(amount)],
    [accounts.refundDue(contractId), amount],
  ]);
}

/** The processor confirmed that it has sent a refund back. */
export function refundConfirmed(movement: Movement & { method: string; amount: Money }): PostingSet {
  const { contractId, method, amount } = movement;
  return buildSet(movement, 'refund_confirmed', [
    [accounts.refundDue(contractId), negate(amount)],
    [accounts.processor(method), amount],
  ]);
}

/**
 * Makes a set of what moves, one posting an account, without the accounts that get nothing. Throws LEDGER_REFUSED
 * where nothing moves, a first posting does not take from its account, the sum is not zero, the cause is empty or too
 * long; a TypeError where currencies mix.
 */
function buildSet(movement: Movement, kind: PostingKind, moves: readonly [string, Money][]): PostingSet {
  const { cause, contractId } = movement;
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

function negate(money: Money): Money {
  return makeMoney(-money.amountE9s, money.currency);
}

function accountName(kind: string, name: string, pattern: RegExp): string {
  if (!pattern.test(name)) throw refused(`${JSON.stringify(name)} does not name a ${kind} account`);
  return `${kind}:${name}`;
}

function refused(detail: string): AppError {
  return new AppError('LEDGER_REFUSED', `${detail}.`);
}
