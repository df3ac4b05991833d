/**
 * What happens to a contract's money when it ends: the part that was used is released to the provider, the rest is
 * refunded, together exactly what was paid. The refund itself leaves through the outbox.
 */
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { defineTopic } from '../jobs/outbox.ts';
import { refundDecided, releasedToProvider } from './ledger.ts';
import { insertRefund } from './refund-store.ts';
import { splitAt } from './split.ts';

/** Refunds to make; the key of the row is the refund's. */
export const REFUND_TOPIC = defineTopic<Record<string, never>>('payment.refund');

/** Splits the money of a contract that has just ended. Where nothing was paid there is nothing to do. */
export async function settle(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  now: number,
): Promise<void> {
  if (contract.paid_at === null) return;
  const { releasedE9s, refundE9s } = splitAt(contract, now);
  const { currency } = contract;
  if (releasedE9s > 0n) {
    await context.ledger.append(
      trx,
      releasedToProvider({
        cause: `release:${contract.id}:end`,
        contractId: contract.id,
        providerPubkey: contract.provider_pubkey,
        toProvider: { amountE9s: releasedE9s, currency },
        fee: { amountE9s: 0n, currency },
      }),
    );
  }
  await decideRefund(context, trx, contract, { amountE9s: refundE9s, now });
}

/** Refunds all of a payment that came after its contract had ended. */
export async function refundEverything(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  now: number,
): Promise<void> {
  await decideRefund(context, trx, contract, { amountE9s: contract.total_e9s, now });
}

/**
 * Sends back a payment that bought nothing (paid twice, or too late), whatever becomes of the contract. Its key is
 * that of the money event: once for each.
 */
export async function refundPayment(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { eventId, amountE9s, reason }: { eventId: string; amountE9s: bigint; reason: string },
): Promise<void> {
  const key = `refund:${contract.id}:payment:${eventId}`;
  await bookRefund(context, trx, contract, { key, amountE9s, reason, now: context.clock.now() });
}

/** The key of the refund that ends a contract: there is one. */
export const endRefundKey = (contractId: string): string => `refund:${contractId}:end`;

/** One refund ends a contract: its key says so, never the time. */
async function decideRefund(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { amountE9s, now }: { amountE9s: bigint; now: number },
): Promise<void> {
  const key = endRefundKey(contract.id);
  await bookRefund(context, trx, contract, { key, amountE9s, reason: contract.state, now });
}

/** Books the refund and sends it on its way; nothing where its key is known. */
async function bookRefund(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { key, amountE9s, reason, now }: { key: string; amountE9s: bigint; reason: string; now: number },
): Promise<void> {
  if (amountE9s === 0n) return;
  const { currency } = contract;
  const inserted = await insertRefund(trx, {
    key,
    contract_id: contract.id,
    amount_e9s: amountE9s,
    currency,
    reason,
    created_at: now,
    confirmed_at: null,
  });
  if (!inserted) return;
  await context.ledger.append(
    trx,
    refundDecided({ cause: key, contractId: contract.id, amount: { amountE9s, currency } }),
  );
  await context.outbox.enqueue(trx, REFUND_TOPIC, { key, payload: {} });
}
