/** Takes what was used beyond the rent from the renter's wallet, and books it as the provider's. */
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { documentUsage } from '../invoices/payment-documents.ts';
import { noteSpending } from '../invoices/spending.ts';
import { insertReleases, NO_TIME } from './earning-store.ts';
import { balanceOf } from './ledger-store.ts';
import { usageCharged } from './ledger-wallet.ts';
import { accounts } from './ledger.ts';

/** A charge to be paid. */
export interface UsageDebit {
  chargeId: string;
  contractId: string;
  renterPubkey: string;
  providerPubkey: string;
  amountE9s: bigint;
  currency: string;
  /** The billing period. */
  fromAt: number;
  toAt: number;
  /** How much it is for, as the invoice says it. */
  text: string;
}

/** Books it, once; false where the wallet does not hold enough, and nothing was changed. */
export async function bookUsage(
  context: Pick<Context, 'ledger' | 'clock' | 'config'>,
  trx: Transaction,
  debit: UsageDebit,
): Promise<boolean> {
  const { chargeId, contractId, renterPubkey, providerPubkey, amountE9s, currency } = debit;
  const balance = await balanceOf(trx, accounts.renterWallet(renterPubkey), currency);
  if (balance.amountE9s < amountE9s) return false;
  const cause = `usage:${chargeId}`;
  const amount = { amountE9s, currency };
  const set = usageCharged({ cause, contractId, renterPubkey, providerPubkey, amount });
  if ((await context.ledger.append(trx, set)) === 'already_posted') return true;
  await documentUsage(context, trx, {
    ...{ account: renterPubkey, contractId, cause, amountE9s, currency, text: debit.text },
  });
  await noteSpending(context, trx, { account: renterPubkey, currency });
  await insertReleases(trx, [
    {
      ...{ cause, contract_id: contractId, provider_pubkey: providerPubkey, currency },
      ...{ at: context.clock.now(), ...NO_TIME, amount_e9s: amountE9s, kind: 'usage', payout_id: null },
      ...{ from_at: debit.fromAt, to_at: debit.toAt },
    },
  ]);
  return true;
}
