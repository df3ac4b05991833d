/**
 * Registration: a setup token's key signed a delegation for the agent's key, and the request itself is signed by that
 * agent key, which proves that the caller holds it. A key that is registered is never re-pointed to another provider.
 */
import type { Static } from 'typebox';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { parseJws } from '@dc/shared/crypto/jws';
import { verifyDelegation } from '@dc/shared/delegation/delegation';
import { AppError } from '@dc/shared/errors';
import type { RegisterAgent, WireRegistration } from '@dc/shared/wire/agent';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { findGrant } from '../offerings/provider-store.ts';
import { findAgent, insertAgent, useGrant, type AgentRow } from './agent-store.ts';

/** Registers `agentKey`. Doing it again with the same delegation answers the same; everything else is refused. */
export async function registerAgent(
  context: Context,
  trx: Transaction,
  agentKey: string,
  body: Static<typeof RegisterAgent>,
): Promise<WireRegistration> {
  parsePublicKey(agentKey);
  const known = await findAgent(trx, agentKey);
  if (known !== null) {
    if (known.delegation_jws === body.delegation && known.revoked_at === null)
      return describe(context, known);
    throw new AppError('AGENT_KEY_TAKEN');
  }
  const setupKey = parseJws(body.delegation)?.kid;
  const grant = setupKey === undefined ? null : await findGrant(trx, setupKey);
  if (grant === null)
    throw new AppError('GRANT_INVALID', 'Nobody has granted this setup token anything here.');
  const delegation = verifyDelegation(grant.grant_jws, body.delegation);
  if (delegation.agentKey !== agentKey)
    throw new AppError('GRANT_INVALID', 'The delegation is for another agent key.');
  const now = context.clock.now();
  if (delegation.tokenExpiresAt <= now || (delegation.expiresAt !== null && delegation.expiresAt <= now))
    throw new AppError('GRANT_EXPIRED');
  if (!(await useGrant(trx, grant.setup_key, agentKey))) throw new AppError('GRANT_USED');
  const agent: AgentRow = {
    public_key: agentKey,
    provider_pubkey: delegation.providerKey,
    pool_id: delegation.poolId,
    label: body.label ?? '',
    permissions: JSON.stringify(delegation.permissions),
    grant_jws: grant.grant_jws,
    delegation_jws: body.delegation,
    expires_at: delegation.expiresAt,
    revoked_at: null,
    created_at: now,
    last_heartbeat_at: null,
    version: null,
    heartbeat: null,
    draining: 0,
    maintenance_until_at: null,
    healthy: 1,
    first_heartbeat_at: null,
  };
  await insertAgent(trx, agent);
  return describe(context, agent);
}

function describe(context: Context, agent: AgentRow): WireRegistration {
  return {
    agent: agent.public_key,
    provider_pubkey: agent.provider_pubkey,
    pool_id: agent.pool_id,
    permissions: JSON.parse(agent.permissions) as WireRegistration['permissions'],
    delegation_expires_at: agent.expires_at === null ? null : toTimestamp(agent.expires_at),
    coordinator_key: context.key.publicKey,
    key_rotations: context.keys.rotations.map(({ compact }) => compact),
    environment: context.config.environment,
    heartbeat_interval_ms: context.config.agents.heartbeatIntervalMs,
  };
}
