/** Books a refund that has left, and says so on its contract. */
import { nextPaymentState } from '@dc/shared/state/contract';
import { touchContract } from '../contracts/contract-service.ts';
import { findContract } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { documentRefund } from '../invoices/payment-documents.ts';
import { refundedToWallet } from './ledger-wallet.ts';
import { refundConfirmed } from './ledger.ts';
import { listPaymentRefunds } from './payment-store.ts';
import { confirmRefund, findRefund } from './refund-store.ts';
import { endRefundKey } from './settlement.ts';

/** Where a refund went, beside what had gone by hand. `processorE9s` + `walletE9s` is the rest; the tax came on top of what was paid. */
export interface RefundWay {
  processorE9s: bigint;
  taxE9s: bigint;
  walletE9s: bigint;
}

/** Where the refund's money went, as far as it did not go by hand, once every part is decided; null before. */
export async function wayOf(reader: Reader, key: string): Promise<RefundWay | null> {
  const refund = await findRefund(reader, key);
  if (refund === null) throw new Error(`the refund ${key} was not decided`);
  const parts = await listPaymentRefunds(reader, { refund_key: key });
  if (parts.some(({ state }) => state === 'planned' || state === 'pending')) return null;
  const sent = parts.filter(({ state }) => state === 'succeeded');
  const taxE9s = sent.reduce((sum, part) => sum + part.tax_e9s, 0n);
  const processorE9s = sent.reduce((sum, part) => sum + part.amount_e9s, 0n) - taxE9s;
  const walletE9s = refund.amount_e9s - (refund.by_hand_e9s ?? 0n) - processorE9s;
  return { processorE9s, taxE9s, walletE9s };
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
  const causes = [
    ...(way.processorE9s + way.taxE9s > 0n ? [`${key}:confirmed`] : []),
    ...(way.walletE9s > 0n ? [`${key}:wallet`] : []),
  ];
  await documentRefund(context, trx, { refund, contract, causes, taxE9s: way.taxE9s });
  // What was paid twice or too late is back; the contract's own payment stands as it did.
  if (key !== endRefundKey(contractId)) return;
  const event = refund.amount_e9s === contract.total_e9s ? 'refund_all' : 'refund_part';
  const payment_state = nextPaymentState(contract.payment_state, event);
  if (payment_state !== null) await touchContract(context, trx, contract, { payment_state });
}
