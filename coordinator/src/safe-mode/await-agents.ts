/**
 * After a start, what is older than it ends, or is given to an agent for the first time, only when agents had the time
 * to speak: the database may be a restored backup, in which a contract that was extended, delivered or leased looks
 * overdue, unserved or free. They would say so.
 */
import type { Context } from '../context.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader } from '../database/database.ts';

/**
 * Milliseconds until the last agent of the contract's pool is offline if it does not speak; 0 where all have. `speaker`
 * is the agent that speaks at this moment.
 */
export async function untilAgentsHeard(
  { clock, config, startedAt }: Context,
  reader: Reader,
  contract: ContractRow,
  speaker = '',
): Promise<number> {
  const leftMs = startedAt + config.agents.offlineAfterMs - clock.now();
  if (contract.created_at >= startedAt || leftMs <= 0) return 0;
  const silent = await reader
    .selectFrom('agents')
    .select('public_key')
    .where('pool_id', '=', contract.pool_id)
    .where('public_key', '!=', speaker)
    .where('revoked_at', 'is', null)
    .where('last_heartbeat_at', '<', startedAt)
    .executeTakeFirst();
  return silent === undefined ? 0 : leftMs;
}
