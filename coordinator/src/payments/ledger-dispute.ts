/**
 * The sets of postings of a dispute (chargeback): what is left of the disputed payment is held while the bank
 * decides, and what the bank takes meanwhile is a claim on it. Pure; see ledger.ts.
 */
import { add, subtract } from '@dc/shared/money/money';
import type { Money } from '@dc/shared/money/money';
import { accounts, buildSet, negate, refused } from './ledger.ts';
import type { PostingSet } from './ledger.ts';

/** What every set of a dispute names. */
interface DisputeMovement {
  cause: string;
  disputeId: string;
  /** The contract that the disputed payment was for; null for a wallet's top-up, and while it is not known. */
  contractId: string | null;
}

/**
 * Where the disputed payment's money lies: in the contract's escrow, in a refund of the contract that was decided and
 * has not left, or in the wallet that it filled.
 */
export type DisputeSource = { contractId: string } | { refundDueOf: string } | { renterPubkey: string };

/** A dispute was opened: `amount` of what is left can neither be released nor spent nor refunded until it is decided. */
export function disputeOpened(
  movement: DisputeMovement & { source: DisputeSource; amount: Money },
): PostingSet {
  const { disputeId, source, amount } = movement;
  return buildSet(movement, 'dispute_opened', [
    [sourceAccount(source), negate(amount)],
    [accounts.disputeHeld(disputeId), amount],
  ]);
}

/** The bank took the disputed amount back from the processor. Its fee, if any, is a `processorFee`. */
export function disputeFundsWithdrawn(
  movement: DisputeMovement & { method: string; amount: Money },
): PostingSet {
  const { disputeId, method, amount } = movement;
  return buildSet(movement, 'dispute_funds_withdrawn', [
    [accounts.disputeWithdrawn(disputeId), negate(amount)],
    [accounts.processor(method), amount],
  ]);
}

/** The bank gave back what it had taken. */
export function disputeFundsReinstated(
  movement: DisputeMovement & { method: string; amount: Money },
): PostingSet {
  const { disputeId, method, amount } = movement;
  return buildSet(movement, 'dispute_funds_reinstated', [
    [accounts.processor(method), negate(amount)],
    [accounts.disputeWithdrawn(disputeId), amount],
  ]);
}

/** The dispute was won (or withdrawn): what was held is where it was before. */
export function disputeWon(movement: DisputeMovement & { source: DisputeSource; held: Money }): PostingSet {
  const { disputeId, source, held } = movement;
  return buildSet(movement, 'dispute_won', [
    [accounts.disputeHeld(disputeId), negate(held)],
    [sourceAccount(source), held],
  ]);
}

/**
 * The dispute was lost: the renter's bank has paid the renter, so nothing is refunded. What the bank took is covered
 * by what was `held`, then by what the provider had earned with it (`fromProvider`), and the rest is our loss.
 */
export function disputeLost(
  movement: DisputeMovement & {
    withdrawn: Money;
    held: Money;
    fromProvider: { pubkey: string; amount: Money } | null;
  },
): PostingSet {
  const { disputeId, withdrawn, held, fromProvider } = movement;
  const covered = fromProvider === null ? held : add(held, fromProvider.amount);
  const loss = subtract(withdrawn, covered);
  if (held.amountE9s < 0n || (fromProvider?.amount.amountE9s ?? 0n) < 0n || loss.amountE9s < 0n)
    throw refused('a lost dispute is not covered by more than the bank took');
  return buildSet(movement, 'dispute_lost', [
    [accounts.disputeHeld(disputeId), negate(held)],
    ...(fromProvider === null
      ? []
      : [[accounts.providerPayable(fromProvider.pubkey), negate(fromProvider.amount)] as [string, Money]]),
    [accounts.platformRevenue, negate(loss)],
    [accounts.disputeWithdrawn(disputeId), withdrawn],
  ]);
}

function sourceAccount(source: DisputeSource): string {
  if ('contractId' in source) return accounts.escrow(source.contractId);
  if ('refundDueOf' in source) return accounts.refundDue(source.refundDueOf);
  return accounts.renterWallet(source.renterPubkey);
}
