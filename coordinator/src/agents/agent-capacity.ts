/**
 * What an agent says of its capacity: room for more, as its backend looked when the agent last asked it. Contracts
 * that were at the backend by then are `held`: they are not in that room, and it is not they who take it.
 */
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { Transaction } from '../database/database.ts';

/**
 * An agent that does not name the contracts at its backend looks at least so often: what is older was there. Too long
 * costs a sale for a minute; too short would sell the same room twice.
 */
const SEEN_AFTER_MS = 120_000;

/** Keeps the newest word, or forgets the last one where there is none: nothing is known then. */
export async function saveCapacity(
  trx: Transaction,
  agentKey: string,
  { capacity, capacity_includes: includes, running_contracts: running }: WireHeartbeat,
  now: number,
): Promise<void> {
  if (capacity === undefined) {
    await trx.deleteFrom('capacities').where('agent_key', '=', agentKey).execute();
    return;
  }
  const held = await sumContracts(trx, agentKey, {
    ids: includes ?? running,
    provisionedUntil: includes === undefined ? now - SEEN_AFTER_MS : null,
  });
  const row = {
    free_cpu: Math.floor(capacity.cpu),
    free_memory_mb: Math.floor(capacity.memory_mb),
    free_disk_gb: Math.floor(capacity.disk_gb),
    free_instances: capacity.instances,
    ...held,
  };
  await trx
    .insertInto('capacities')
    .values({ agent_key: agentKey, ...row })
    .onConflict((conflict) => conflict.column('agent_key').doUpdateSet(row))
    .execute();
}

/** What those of its contracts take that still count in the pool. */
async function sumContracts(
  trx: Transaction,
  agentKey: string,
  { ids, provisionedUntil }: { ids: readonly string[]; provisionedUntil: number | null },
) {
  const held = { held_cpu: 0, held_memory_mb: 0, held_disk_gb: 0, held_instances: 0 };
  if (ids.length === 0) return held;
  const named = new Set(ids);
  const contracts = await trx
    .selectFrom('contracts')
    .select(['id', 'cpu', 'memory_mb', 'disk_gb', 'provisioned_at'])
    .where('agent_key', '=', agentKey)
    .where('place_held', '=', 1)
    .execute();
  for (const { id, cpu, memory_mb, disk_gb, provisioned_at } of contracts) {
    if (!named.has(id)) continue;
    if (provisionedUntil !== null && (provisioned_at ?? Infinity) > provisionedUntil) continue;
    held.held_cpu += cpu;
    held.held_memory_mb += memory_mb;
    held.held_disk_gb += disk_gb;
    held.held_instances += 1;
  }
  return held;
}
