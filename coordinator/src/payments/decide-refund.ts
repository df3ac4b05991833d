/** What an admin decides about a refund that waits: once, whoever else decides at the same time. */
import { AppError } from '@dc/shared/errors';
import { touchContract } from '../contracts/contract-service.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { assertActing } from '../safe-mode/safe-mode.ts';
import { countByHand } from './count-by-hand.ts';
import { isDisputed } from './payment-store.ts';
import { decideRequest, findRequest, type RefundRequestRow } from './refund-gate-store.ts';
import { REFUND_TOPIC } from './refund-topic.ts';
import { settleRefund } from './settle-refund.ts';

/** What an admin decides. */
export interface RefundDecision {
  decision: 'approved' | 'declined';
  /** The admin's account; `command line` on the machine itself. */
  by: string;
  reason: string | null;
}

/**
 * Decides about a refund that waits, once. The same decision again changes nothing and answers the first. Throws
 * REFUND_NOT_FOUND; REFUND_STATE where it was decided otherwise, was settled without, or is disputed;
 * PERMISSION_DENIED where the admin is its renter.
 */
export async function decideRefund(
  context: Context,
  trx: Transaction,
  id: string,
  wanted: RefundDecision,
): Promise<RefundRequestRow> {
  const row = await findRequest(trx, id);
  if (row === null) throw new AppError('REFUND_NOT_FOUND');
  if (row.decision === wanted.decision) return row;
  if (row.decision !== null)
    throw new AppError(
      'REFUND_STATE',
      `It was ${row.decision} before, by ${row.decided_by ?? 'nobody'} at ${new Date(row.decided_at ?? 0).toISOString()}.`,
    );
  if (row.confirmed_at !== null)
    throw new AppError('REFUND_STATE', 'It has been settled at the payment provider, without a decision.');
  if (row.renter_pubkey === wanted.by)
    throw new AppError('PERMISSION_DENIED', 'This refund is your own: another admin decides about it.');
  await assertActing(trx);
  const now = context.clock.now();
  const { decision, by: decided_by, reason } = wanted;
  const decided = { decision, decided_by, reason, decided_at: now };
  await decideRequest(trx, id, decided);
  const contract = await findContract(trx, row.contract_id);
  if (contract === null) throw new Error(`refund ${row.refund_key} has no contract`);
  if (decision === 'approved')
    await context.outbox.enqueue(trx, REFUND_TOPIC, { key: row.refund_key, payload: {} });
  else {
    await assertUndisputed(trx, contract);
    const walletE9s = row.amount_e9s - (await countByHand(context, trx, row.refund_key));
    const way = { processorE9s: 0n, taxE9s: 0n, walletE9s };
    await settleRefund(context, trx, row.refund_key, way);
  }
  // The renter's page tells what was decided; settling may have changed the contract since it was read.
  const current = (await findContract(trx, contract.id)) ?? contract;
  await touchContract(context, trx, current, {});
  return { ...row, ...decided, confirmed_at: decision === 'declined' ? now : null };
}

/** While its money is held for a dispute there is nothing to put into a wallet. */
async function assertUndisputed(reader: Reader, { id }: ContractRow): Promise<void> {
  if (await isDisputed(reader, id))
    throw new AppError('REFUND_STATE', 'Its payment is disputed: the outcome decides where its money goes.');
}
