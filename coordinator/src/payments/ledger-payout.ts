/**
 * The sets of postings of a payout to a provider. While it is `sent` its money is still in flight: only a
 * confirmation moves it on. Pure; see ledger.ts.
 */
import type { Money } from '@dc/shared/money/money';
import { accounts, buildSet, negate } from './ledger.ts';
import type { PostingSet } from './ledger.ts';

interface PayoutMovement {
  cause: string;
  payoutId: string;
  amount: Money;
}

/** A payout was requested. The database refuses more than the provider is owed. */
export function payoutRequested(movement: PayoutMovement & { providerPubkey: string }): PostingSet {
  const { payoutId, providerPubkey, amount } = movement;
  return buildSet(outsideContracts(movement), 'payout_requested', [
    [accounts.providerPayable(providerPubkey), negate(amount)],
    [accounts.payoutInFlight(payoutId), amount],
  ]);
}

/** The money has arrived; it left `processor`. */
export function payoutConfirmed(movement: PayoutMovement & { processor: string }): PostingSet {
  const { payoutId, processor, amount } = movement;
  return buildSet(outsideContracts(movement), 'payout_confirmed', [
    [accounts.payoutInFlight(payoutId), negate(amount)],
    [accounts.processor(processor), amount],
  ]);
}

/** It is certain that no money moved: it is owed again. */
export function payoutFailed(movement: PayoutMovement & { providerPubkey: string }): PostingSet {
  const { payoutId, providerPubkey, amount } = movement;
  return buildSet(outsideContracts(movement), 'payout_failed', [
    [accounts.payoutInFlight(payoutId), negate(amount)],
    [accounts.providerPayable(providerPubkey), amount],
  ]);
}

/** Some of it came back to `processor` after it had arrived: it is owed again. */
export function payoutReversed(
  movement: Pick<PayoutMovement, 'cause' | 'amount'> & { processor: string; providerPubkey: string },
): PostingSet {
  const { processor, providerPubkey, amount } = movement;
  return buildSet(outsideContracts(movement), 'payout_reversed', [
    [accounts.processor(processor), negate(amount)],
    [accounts.providerPayable(providerPubkey), amount],
  ]);
}

const outsideContracts = ({ cause }: { cause: string }) => ({ cause, contractId: null });
