/**
 * What becomes of the instances of an agent whose key the provider has revoked, or let expire: another agent of the
 * same pool may destroy them, by their seals, which are the provider's and not the agent's. What it then reports
 * counts where it found one, or looked at the very backend that it was made on.
 */
import { sql, type RawBuilder, type SqlBool } from 'kysely';
import { parseJws } from '@dc/shared/crypto/jws';
import type { RecordPayload } from '@dc/shared/evidence/record';
import type { OrderPayload } from '@dc/shared/orders/order';
import type { Reader } from '../database/database.ts';
import type { AgentPrincipal } from '../http/principal.ts';
import type { WorkRow } from './work-store.ts';

/** SQL: the work is a destruction, and its agent acts no more. */
export const isLeftBehind = (now: number): RawBuilder<SqlBool> =>
  sql<SqlBool>`(work.kind = 'destroy' and exists (select 1 from agents o where o.public_key = work.agent_key
    and (o.revoked_at is not null or o.expires_at <= ${now})))`;

/** Who made the instance, for the order to the agent that takes over; undefined where it is that agent's own. */
export async function predecessorOf(
  reader: Reader,
  work: Pick<WorkRow, 'kind' | 'agent_key' | 'contract_id'>,
  agentKey: string,
): Promise<OrderPayload['predecessor']> {
  const { kind, agent_key: agent, contract_id } = work;
  if (kind !== 'destroy' || agent === null || agent === agentKey) return undefined;
  return { agent, backend_id: await findBackendId(reader, contract_id, agent) };
}

/** Whether this agent holds the order to destroy what another one left. */
export async function isSuccessor(
  reader: Reader,
  contractId: string,
  agent: AgentPrincipal,
): Promise<boolean> {
  const { rows } = await sql`
    select 1 from work w join contracts c on c.id = w.contract_id
    where w.contract_id = ${contractId} and w.kind = 'destroy' and w.state = 'leased'
      and w.leased_by = ${agent.publicKey} and w.pool_id = ${agent.poolId}
      and c.provider_pubkey = ${agent.provider}`.execute(reader);
  return rows.length === 1;
}

/** Whether a successor's report proves that the instance is gone: it destroyed one, or looked at its own backend. */
export async function provesAbsence(
  reader: Reader,
  { contract_id, data }: RecordPayload,
  predecessor: string | null,
): Promise<boolean> {
  const { handle_ids: destroyed, backend_id } = data;
  if (Array.isArray(destroyed) && destroyed.length > 0) return true;
  const madeOn = predecessor === null ? null : await findBackendId(reader, contract_id, predecessor);
  return madeOn !== null && backend_id === madeOn;
}

/** The backend that the instance was made on: as its report says, else as its agent last called it. */
async function findBackendId(reader: Reader, contractId: string, agentKey: string): Promise<string | null> {
  const record = await reader
    .selectFrom('records')
    .select('compact')
    .where('contract_id', '=', contractId)
    .where('kind', '=', 'provisioned')
    .where('agent_key', '=', agentKey)
    .orderBy('seq', 'desc')
    .executeTakeFirst();
  const payload = (parseJws(record?.compact ?? '')?.payload ?? null) as RecordPayload | null;
  const reported = payload?.data['backend_id'];
  if (typeof reported === 'string') return reported;
  const row = await reader
    .selectFrom('agents')
    .select('heartbeat')
    .where('public_key', '=', agentKey)
    .executeTakeFirst();
  const beat = JSON.parse(row?.heartbeat ?? '{}') as { capabilities?: { backend_id?: unknown } };
  const said = beat.capabilities?.backend_id;
  return typeof said === 'string' ? said : null;
}
