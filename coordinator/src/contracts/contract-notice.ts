/** What the provider has announced to the renters of an agent: that it takes no new work, or works on the machine. */
import { isTerminal } from '@dc/shared/state/contract';
import type { WireContract } from '@dc/shared/wire/contract';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Reader } from '../database/database.ts';
import type { ContractRow } from './contract-store.ts';

export type Notice = NonNullable<WireContract['notice']>;

/** The announcement that stands at `now`; null where there is none, or nobody is left to hear it. */
export async function findNotice(reader: Reader, row: ContractRow, now: number): Promise<Notice | null> {
  if (row.agent_key === null || isTerminal(row.state)) return null;
  const agent = await reader
    .selectFrom('agents')
    .select(['draining', 'maintenance_until_at'])
    .where('public_key', '=', row.agent_key)
    .executeTakeFirst();
  const until = agent?.maintenance_until_at ?? 0;
  if (until > now) {
    return {
      code: 'maintenance',
      detail: 'The provider works on the machine that this contract runs on: it may be away for a while.',
      until: toTimestamp(until),
    };
  }
  if (agent?.draining !== 1) return null;
  const detail = 'The provider takes no new contracts on this machine. This one runs on until it ends.';
  return { code: 'draining', detail, until: null };
}
