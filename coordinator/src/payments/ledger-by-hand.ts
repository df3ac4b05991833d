/** The sets of postings of refunds that somebody made by hand at the provider. Pure; see ledger.ts. */
import type { Money } from '@dc/shared/money/money';
import { accounts, buildSet, negate } from './ledger.ts';
import type { PostingSet } from './ledger.ts';

interface HandMovement {
  cause: string;
  contractId: string | null;
  method: string;
  amount: Money;
}

/** More went back than was owed to the renter: it was ours to give. */
export function refundedByHand(movement: HandMovement): PostingSet {
  return buildSet(movement, 'refunded_by_hand', [
    [accounts.platformRevenue, negate(movement.amount)],
    [accounts.processor(movement.method), movement.amount],
  ]);
}

/** Such a refund did not reach the renter: the processor holds it for us again. */
export function refundByHandFailed(movement: HandMovement): PostingSet {
  return buildSet(movement, 'refund_by_hand_failed', [
    [accounts.processor(movement.method), negate(movement.amount)],
    [accounts.platformRevenue, movement.amount],
  ]);
}

/**
 * What went back by hand counts towards what the contract owes its renter, who has it already: what we had borne comes
 * back to us.
 */
export function refundByHandCounted({ cause, contractId, amount }: CountedMovement): PostingSet {
  return buildSet({ cause, contractId }, 'refund_by_hand_counted', [
    [accounts.refundDue(contractId), negate(amount)],
    [accounts.platformRevenue, amount],
  ]);
}

/** It never arrived, after all: the contract owes it again. */
export function refundByHandUncounted({ cause, contractId, amount }: CountedMovement): PostingSet {
  return buildSet({ cause, contractId }, 'refund_by_hand_uncounted', [
    [accounts.platformRevenue, negate(amount)],
    [accounts.refundDue(contractId), amount],
  ]);
}

interface CountedMovement {
  cause: string;
  contractId: string;
  amount: Money;
}
