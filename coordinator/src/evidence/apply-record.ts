/**
 * What a record changes, one entry a kind. Whatever does not fit the contract as it stands (an old epoch, another
 * agent's contract, a state that has moved on) is not applied, with its code; it is evidence all the same.
 */
import type { ErrorCode } from '@dc/shared/errors';
import type { RecordKind, RecordPayload } from '@dc/shared/evidence/record';
import { isTerminal } from '@dc/shared/state/contract';
import type { WireRecordResult } from '@dc/shared/wire/agent';
import { finishWork } from '../agents/work-service.ts';
import { moveContract, releaseContract } from '../contracts/contract-service.ts';
import { readAccess, readFailure } from '../contracts/reported-facts.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import { requestVerification } from '../contracts/verify-delivery.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import type { AgentPrincipal } from '../http/principal.ts';

type Outcome = Pick<WireRecordResult, 'outcome' | 'code'>;

interface Report {
  context: Context;
  trx: Transaction;
  agent: AgentPrincipal;
  contract: ContractRow;
  record: RecordPayload;
}

const APPLIED: Outcome = { outcome: 'applied' };
const notApplied = (code: ErrorCode): Outcome => ({ outcome: 'not_applied', code });

/** Applies a record that has its place in the chain. */
export async function applyRecord(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  record: RecordPayload,
): Promise<Outcome> {
  if (record.environment !== context.config.environment) return notApplied('RECORD_FOREIGN');
  const contract = await findContract(trx, record.contract_id);
  if (contract?.agent_key !== agent.publicKey || contract.provider_pubkey !== agent.provider)
    return notApplied('RECORD_FOREIGN');
  return EFFECTS[record.kind]({ context, trx, agent, contract, record });
}

const EFFECTS: Readonly<Record<RecordKind, (report: Report) => Promise<Outcome>>> = {
  provisioned: applyProvisioned,
  failed: applyFailed,
  destroyed: applyDestroyed,
  // Facts to be read from the chain; they move nothing.
  health: () => Promise.resolve(APPLIED),
  password_reset: () => Promise.resolve(APPLIED),
  ssh_key_rotated: () => Promise.resolve(APPLIED),
  stopped: () => Promise.resolve(APPLIED),
  started: () => Promise.resolve(APPLIED),
};

async function applyProvisioned({ context, trx, contract, record, agent }: Report): Promise<Outcome> {
  if (record.epoch !== contract.epoch) return notApplied('LEASE_STALE');
  if (contract.state !== 'provisioning') return notApplied('RECORD_CONTRADICTS');
  const access = readAccess(record.data);
  if (access === null) return notApplied('RECORD_INVALID');
  const now = context.clock.now();
  await finishWork(trx, contract.id, 'provision', now);
  const after = await moveContract(
    context,
    trx,
    contract,
    { event: 'provision', actor: agentName(agent), reason: 'The agent reports the instance.' },
    { provisioned_at: now, access: JSON.stringify(access) },
  );
  await requestVerification(context, trx, after);
  return APPLIED;
}

async function applyFailed({ context, trx, contract, record, agent }: Report): Promise<Outcome> {
  if (record.epoch !== contract.epoch) return notApplied('LEASE_STALE');
  if (contract.state !== 'provisioning') return notApplied('RECORD_CONTRADICTS');
  const failure = readFailure(record.data);
  await finishWork(trx, contract.id, 'provision', context.clock.now());
  await moveContract(
    context,
    trx,
    contract,
    { event: 'fail', actor: agentName(agent), reason: failure.detail },
    { last_error: JSON.stringify(failure) },
  );
  return APPLIED;
}

/** Destruction is a fact whenever it was proved: it needs no current lease, only a contract that has ended. */
async function applyDestroyed({ context, trx, contract }: Report): Promise<Outcome> {
  if (!isTerminal(contract.state)) return notApplied('RECORD_CONTRADICTS');
  if (contract.release === 'released') return { outcome: 'already_applied' };
  await finishWork(trx, contract.id, 'destroy', context.clock.now());
  await releaseContract(context, trx, contract);
  return APPLIED;
}

const agentName = (agent: AgentPrincipal): string => `agent:${agent.publicKey.slice(0, 16)}`;
