/** The outbox handler of contract deadlines. */
import { AppError } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { deadlineOf } from './contract-deadlines.ts';
import { moveContract } from './contract-service.ts';
import { findContract, type ContractRow } from './contract-store.ts';

/** How soon after a start it is seen that the last agent has spoken. */
const LOOK_AGAIN_MS = 2_000;

/** Ends the contract if what it is in has lasted too long. Nothing where it moved on, or got more time, since. */
export async function enforceDeadline(context: Context, contractId: string): Promise<void> {
  await context.db.write(async (trx) => {
    const contract = await findContract(trx, contractId);
    const deadline = contract === null ? null : deadlineOf(contract, context.config.contracts);
    if (contract === null || deadline === null || deadline.at > context.clock.now()) return;
    await assertAgentsHeard(context, trx, contract);
    const { event, reason, change } = deadline;
    await moveContract(context, trx, contract, { event, actor: 'system', reason, set: change });
    const { id, state, pool_id } = contract;
    if (event === 'reject' || event === 'fail')
      trx.afterCommit(() => context.log.warn({ contract: id, pool: pool_id, state }, 'contract.overdue'));
  });
}

/**
 * After a start, what is older than it ends only when agents had the time to speak: the database may be a restored
 * backup, in which a contract that was extended, or delivered, looks overdue. They would say so (safe-mode/).
 */
async function assertAgentsHeard(
  { clock, config, startedAt }: Context,
  trx: Transaction,
  contract: ContractRow,
): Promise<void> {
  const leftMs = startedAt + config.agents.offlineAfterMs - clock.now();
  if (contract.created_at >= startedAt || leftMs <= 0) return;
  const silent = await trx
    .selectFrom('agents')
    .select('public_key')
    .where('pool_id', '=', contract.pool_id)
    .where('revoked_at', 'is', null)
    .where('last_heartbeat_at', '<', startedAt)
    .executeTakeFirst();
  if (silent === undefined) return;
  const retryAfterMs = Math.min(leftMs, LOOK_AGAIN_MS);
  throw new AppError('COORDINATOR_SAFE_MODE', 'The coordinator has just started.', { retryAfterMs });
}
