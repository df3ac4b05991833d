/** Books a refund that has left, and says so on its contract. */
import { nextPaymentState } from '@dc/shared/state/contract';
import { touchContract } from '../contracts/contract-service.ts';
import { findContract } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { refundedToWallet } from './ledger-wallet.ts';
import { refundConfirmed } from './ledger.ts';
import { confirmRefund, findRefund } from './refund-store.ts';
import { endRefundKey } from './settlement.ts';

/** Where a refund went. `processorE9s` + `walletE9s` is its amount; the tax came on top of what was paid. */
export interface RefundWay {
  processorE9s: bigint;
  taxE9s: bigint;
  walletE9s: bigint;
}

/** Books it, once; nothing where it was booked before. */
export async function settleRefund(
  context: Context,
  trx: Transaction,
  key: string,
  way: RefundWay,
): Promise<void> {
  const refund = await findRefund(trx, key);
  if (refund === null || !(await confirmRefund(trx, key, context.clock.now()))) return;
  const contract = await findContract(trx, refund.contract_id);
  if (contract === null) throw new Error(`refund ${key} has no contract`);
  const money = (amountE9s: bigint) => ({ amountE9s, currency: refund.currency });
  const contractId = contract.id;
  if (way.processorE9s + way.taxE9s > 0n) {
    const cause = `${key}:confirmed`;
    const { payment_method: method } = contract;
    const [amount, tax] = [money(way.processorE9s), money(way.taxE9s)];
    await context.ledger.append(trx, refundConfirmed({ cause, contractId, method, amount, tax }));
  }
  if (way.walletE9s > 0n) {
    const { renter_pubkey: renterPubkey } = contract;
    const amount = money(way.walletE9s);
    const cause = `${key}:wallet`;
    await context.ledger.append(trx, refundedToWallet({ cause, contractId, renterPubkey, amount }));
  }
  // What was paid twice or too late is back; the contract's own payment stands as it did.
  if (key !== endRefundKey(contractId)) return;
  const event = refund.amount_e9s === contract.total_e9s ? 'refund_all' : 'refund_part';
  const payment_state = nextPaymentState(contract.payment_state, event);
  if (payment_state !== null) await touchContract(context, trx, contract, { payment_state });
}
