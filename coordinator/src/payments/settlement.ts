/**
 * What happens to a contract's money when it ends: what was proved is released to the provider, what was not is
 * credited, the rest is refunded, together exactly what was paid. Where the last minutes wait for evidence, what hangs
 * on them stays in escrow until it has come or is too late. The refund itself leaves by
 * the gate (refund-gate.ts) and the outbox.
 */
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { bookEarnings, decideEarnings, type Decision } from './book-earning.ts';
import { findEarning, updateEarning, type EarningContract } from './earning-store.ts';
import { moneyOfContract } from './ledger-store.ts';
import { refundDecided } from './ledger.ts';
import { passGate } from './refund-gate.ts';
import { insertRefund } from './refund-store.ts';

/** What was not proved before the end is looked for again after this. */
const LOOK_AGAIN_MS = 900_000;

/** Gives out the money of a contract that has just ended. Where nothing was paid there is nothing to do. */
export async function settle(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  now: number,
): Promise<void> {
  if (contract.paid_at === null) return;
  const earning = await findEarning(trx, contract.id);
  // It was never delivered: nothing is earned.
  if (earning === null) return refundEverything(context, trx, contract, now);
  // A dispute holds the money: its outcome says what becomes of it. Once won, the release run settles the rest.
  if (contract.payment_state === 'disputed') return updateEarning(trx, { ...earning, due_at: now });
  const { evidenceGraceMs: graceMs } = context.config.earning;
  const [decision] = await decideEarnings(trx, [{ contract, earning }], { now, graceMs });
  if (decision === undefined) throw new Error('one contract has one decision');
  await settleDecided(context, trx, decision, { now, lookAgainAt: now + LOOK_AGAIN_MS });
}

/**
 * Settles a contract that has ended as far as its evidence goes, and looks again at `lookAgainAt` where some is still
 * missing. Idempotent: what was decided before is not decided again.
 */
export async function settleDecided(
  context: Context,
  trx: Transaction,
  decision: Decision,
  { now, lookAgainAt }: { now: number; lookAgainAt: number },
): Promise<void> {
  const { contract, before, judgement, step, refundE9s } = decision;
  const dueAt = judgement.isWaiting ? lookAgainAt : null;
  await bookEarnings(context, trx, [{ ...decision, dueAt }], now);
  const creditE9s = step.earned.creditedE9s - before.credited_e9s;
  const isFirst = await bookRefund(context, trx, contract, {
    key: endRefundKey(contract.id),
    amountE9s: refundE9s,
    creditE9s: step.earned.creditedE9s,
    reason: contract.state,
    now,
  });
  if (isFirst) return;
  await bookRefund(context, trx, contract, {
    key: `refund:${contract.id}:from:${String(before.judged_until_at)}`,
    amountE9s: 0n,
    creditE9s,
    reason: 'unproved',
    now,
  });
}

/** Refunds all of a payment that came after its contract had ended. */
export async function refundEverything(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  now: number,
): Promise<void> {
  await bookRefund(context, trx, contract, {
    key: endRefundKey(contract.id),
    amountE9s: contract.total_e9s,
    reason: contract.state,
    now,
  });
}

/**
 * Refunds what a lost dispute has left in the escrow of a contract that it ended (it was about one payment of
 * several). What was earned since the last release run is not released any more: the provider answers for the loss.
 */
export async function settleAfterLoss(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
): Promise<void> {
  const { escrow, credited } = await moneyOfContract(trx, contract.id, contract.currency);
  await bookRefund(context, trx, contract, {
    key: endRefundKey(contract.id),
    amountE9s: escrow.amountE9s,
    creditE9s: credited.amountE9s,
    reason: 'dispute_lost',
    now: context.clock.now(),
  });
  const earning = await findEarning(trx, contract.id);
  if (earning !== null) await updateEarning(trx, { ...earning, due_at: null });
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

/** Books the refund and sends it on its way, as far as it may go by itself; false where its key is known or there is nothing to send. */
async function bookRefund(
  context: Context,
  trx: Transaction,
  contract: EarningContract,
  refund: { key: string; amountE9s: bigint; creditE9s?: bigint; reason: string; now: number },
): Promise<boolean> {
  const { key, amountE9s, creditE9s = 0n, reason, now } = refund;
  const { currency } = contract;
  if (amountE9s + creditE9s === 0n) return false;
  const inserted = await insertRefund(trx, {
    key,
    contract_id: contract.id,
    amount_e9s: amountE9s + creditE9s,
    currency,
    reason,
    created_at: now,
    confirmed_at: null,
    by_hand_e9s: null,
  });
  if (!inserted) return false;
  await context.ledger.append(
    trx,
    refundDecided({
      cause: key,
      contractId: contract.id,
      amount: { amountE9s, currency },
      credit: { amountE9s: creditE9s, currency },
    }),
  );
  const whole = { amountE9s: amountE9s + creditE9s, currency };
  await passGate(context, trx, { key, contractId: contract.id, amount: whole });
  return true;
}
