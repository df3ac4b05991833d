/** The outbox handler of contract deadlines. */
import { AppError } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { untilAgentsHeard } from '../safe-mode/await-agents.ts';
import { isOnItsWay } from '../payments/payment-asks.ts';
import { DEADLINE_TOPIC, deadlineOf } from './contract-deadlines.ts';
import { moveContract } from './contract-service.ts';
import { findContract, type ContractRow } from './contract-store.ts';

/** How soon after a start it is seen that the last agent has spoken. */
const LOOK_AGAIN_MS = 2_000;

/** How soon a payment that takes days is looked at again. */
const ON_ITS_WAY_LOOK_MS = 60 * 60_000;

/** Ends the contract if what it is in has lasted too long. Nothing where it moved on, or got more time, since. */
export async function enforceDeadline(context: Context, contractId: string): Promise<void> {
  await context.db.write(async (trx) => {
    const contract = await findContract(trx, contractId);
    const deadline = contract === null ? null : deadlineOf(contract, context.config.contracts);
    const now = context.clock.now();
    if (contract === null || deadline === null || deadline.at > now) return;
    if (contract.state === 'requested' && (await isOnItsWay(trx, contract.id, now))) {
      // The renter has paid in a way that takes days: the place is kept for them.
      const key = `${contract.id}:${String(contract.version)}:${String(now)}`;
      const payload = { contractId: contract.id };
      await context.outbox.enqueue(trx, DEADLINE_TOPIC, {
        key,
        payload,
        notBeforeAt: now + ON_ITS_WAY_LOOK_MS,
      });
      return;
    }
    await assertAgentsHeard(context, trx, contract);
    const { event, reason, change } = deadline;
    await moveContract(context, trx, contract, { event, actor: 'system', reason, set: change });
    const { id, state, pool_id } = contract;
    if (event === 'reject' || event === 'fail')
      trx.afterCommit(() => context.log.warn({ contract: id, pool: pool_id, state }, 'contract.overdue'));
  });
}

/** Throws, for the row to be tried again, while an agent may still say that the database is behind. */
async function assertAgentsHeard(context: Context, trx: Transaction, contract: ContractRow): Promise<void> {
  const leftMs = await untilAgentsHeard(context, trx, contract);
  if (leftMs === 0) return;
  const retryAfterMs = Math.min(leftMs, LOOK_AGAIN_MS);
  throw new AppError('COORDINATOR_SAFE_MODE', 'The coordinator has just started.', { retryAfterMs });
}
