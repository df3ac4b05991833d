/** The outbox handler of contract deadlines. */
import type { Context } from '../context.ts';
import { deadlineOf } from './contract-deadlines.ts';
import { moveContract } from './contract-service.ts';
import { findContract } from './contract-store.ts';

/** Ends the contract if what it is in has lasted too long. Nothing where it moved on, or got more time, since. */
export async function enforceDeadline(context: Context, contractId: string): Promise<void> {
  await context.db.write(async (trx) => {
    const contract = await findContract(trx, contractId);
    const deadline = contract === null ? null : deadlineOf(contract, context.config.contracts);
    if (contract === null || deadline === null || deadline.at > context.clock.now()) return;
    const { event, reason, change } = deadline;
    await moveContract(context, trx, contract, { event, actor: 'system', reason, set: change });
    const { id, state, pool_id } = contract;
    if (event === 'reject' || event === 'fail')
      trx.afterCommit(() => context.log.warn({ contract: id, pool: pool_id, state }, 'contract.overdue'));
  });
}
