/** The sets of postings that a renter's wallet moves by. Pure; see ledger.ts. */
import type { Money } from '@dc/shared/money/money';
import { accounts, buildSet, negate } from './ledger.ts';
import type { Movement, PostingSet } from './ledger.ts';

interface WalletMovement {
  cause: string;
  renterPubkey: string;
  amount: Money;
}

/** A renter's money for the wallet arrived at the processor; `tax` came on top of it. */
export function walletToppedUp(movement: WalletMovement & { method: string; tax?: Money }): PostingSet {
  const { method, renterPubkey, amount, tax = { ...amount, amountE9s: 0n } } = movement;
  return buildSet(outsideContracts(movement), 'wallet_topped_up', [
    [accounts.processor(method), negate(amount)],
    [accounts.processor(method), negate(tax)],
    [accounts.renterWallet(renterPubkey), amount],
    [accounts.taxes, tax],
  ]);
}

/** A rental or an extension was paid from the wallet. The database refuses more than the wallet holds. */
export function paidFromWallet(movement: Movement & { renterPubkey: string; paid: Money }): PostingSet {
  const { contractId, renterPubkey, paid } = movement;
  return buildSet(movement, 'paid_from_wallet', [
    [accounts.renterWallet(renterPubkey), negate(paid)],
    [accounts.escrow(contractId), paid],
  ]);
}

/** Use beyond the rent was paid from the wallet: it was delivered before, so that the provider has earned it. */
export function usageCharged(
  movement: Movement & { renterPubkey: string; providerPubkey: string; amount: Money },
): PostingSet {
  const { renterPubkey, providerPubkey, amount } = movement;
  return buildSet(movement, 'usage_charged', [
    [accounts.renterWallet(renterPubkey), negate(amount)],
    [accounts.providerPayable(providerPubkey), amount],
  ]);
}

/** A refund that was decided for a contract went to the wallet. */
export function refundedToWallet(movement: Movement & { renterPubkey: string; amount: Money }): PostingSet {
  const { contractId, renterPubkey, amount } = movement;
  return buildSet(movement, 'refunded_to_wallet', [
    [accounts.refundDue(contractId), negate(amount)],
    [accounts.renterWallet(renterPubkey), amount],
  ]);
}

/** Wallet money is to go back to where it came from. */
export function walletRefundDecided(movement: WalletMovement): PostingSet {
  const { renterPubkey, amount } = movement;
  return buildSet(outsideContracts(movement), 'wallet_refund_decided', [
    [accounts.renterWallet(renterPubkey), negate(amount)],
    [accounts.walletRefundDue(renterPubkey), amount],
  ]);
}

/** The processor confirmed that it has sent wallet money back. */
export function walletRefundConfirmed(movement: WalletMovement & { method: string }): PostingSet {
  const { method, renterPubkey, amount } = movement;
  return buildSet(outsideContracts(movement), 'wallet_refund_confirmed', [
    [accounts.walletRefundDue(renterPubkey), negate(amount)],
    [accounts.processor(method), amount],
  ]);
}

/** Wallet money that had been sent back returned: it is the renter's again. */
export function walletRefundFailed(movement: WalletMovement & { method: string }): PostingSet {
  const { method, renterPubkey, amount } = movement;
  return buildSet(outsideContracts(movement), 'wallet_refund_failed', [
    [accounts.processor(method), negate(amount)],
    [accounts.renterWallet(renterPubkey), amount],
  ]);
}

const outsideContracts = ({ cause }: { cause: string }) => ({ cause, contractId: null });
