/**
 * What a record changes, one entry a kind. Whatever does not fit the contract as it stands (an old epoch, another
 * agent's contract, a state that has moved on) is not applied, with its code; it is evidence all the same.
 */
import type { ErrorCode } from '@dc/shared/errors';
import { readAvailability } from '@dc/shared/evidence/availability';
import { NO_CONTRACT, type RecordKind, type RecordPayload } from '@dc/shared/evidence/record';
import type { OrderKind } from '@dc/shared/orders/order';
import { isTerminal } from '@dc/shared/state/contract';
import type { WireRecordResult } from '@dc/shared/wire/agent';
import { isCredentialKind, type CredentialKind } from '@dc/shared/wire/contract';
import { isSuccessor, provesAbsence } from '../agents/successors.ts';
import { finishWork } from '../agents/work-service.ts';
import { moveContract, releaseContract } from '../contracts/contract-service.ts';
import { readAccess, readFailure } from '../contracts/reported-facts.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import { requestVerification } from '../contracts/verify-delivery.ts';
import { changeFailure } from '../credentials/reported-change.ts';
import { completeChange, failChange } from '../credentials/credential-service.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import { agentName, type AgentPrincipal } from '../http/principal.ts';

type Outcome = Pick<WireRecordResult, 'outcome' | 'code'>;

interface Report {
  context: Context;
  trx: Transaction;
  agent: AgentPrincipal;
  contract: ContractRow;
  record: RecordPayload;
}

type Effect = (report: Report) => Promise<Outcome>;

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
  if (record.contract_id === NO_CONTRACT && record.kind === 'availability')
    return noteAvailability(context, trx, agent, record);
  if (!(await isOwnContract(trx, record.contract_id, agent)))
    return applyAsSuccessor(context, trx, agent, record);
  const effect = EFFECTS[record.kind];
  if (effect === null) return APPLIED;
  const contract = await findContract(trx, record.contract_id);
  if (contract === null) throw new Error(`contract ${record.contract_id} is gone`);
  return effect({ context, trx, agent, contract, record });
}

/** It is about the agent itself. It counts from when it came in: nothing is announced afterwards. */
async function noteAvailability(
  { clock }: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  { seq, at, data }: RecordPayload,
): Promise<Outcome> {
  const said = readAvailability(data);
  if (said === null) return notApplied('RECORD_INVALID');
  const until = said.maintenance_until;
  await trx
    .insertInto('availability')
    .values({
      agent_key: agent.publicKey,
      seq,
      at: Date.parse(at),
      received_at: clock.now(),
      draining: said.draining ? 1 : 0,
      maintenance_until_at: until === null ? null : Date.parse(until),
    })
    .execute();
  return APPLIED;
}

/** Only the destruction of what a revoked agent left is anybody else's to report, with its proof. */
async function applyAsSuccessor(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  record: RecordPayload,
): Promise<Outcome> {
  const contract = await findContract(trx, record.contract_id);
  if (contract === null || record.kind !== 'destroyed') return notApplied('RECORD_FOREIGN');
  if (!(await isSuccessor(trx, contract.id, agent))) return notApplied('RECORD_FOREIGN');
  if (!(await provesAbsence(trx, record, contract.agent_key))) return notApplied('RECORD_UNPROVED');
  return applyDestroyed({ context, trx, agent, contract, record });
}

/** Whether the contract is bound to this agent. Plain SQL: every record asks, and most change nothing. */
async function isOwnContract(trx: Transaction, contractId: string, agent: AgentPrincipal): Promise<boolean> {
  const { rows } = await statement`
    select 1 from contracts where id = ${contractId} and agent_key = ${agent.publicKey}
      and provider_pubkey = ${agent.provider}`.execute(trx);
  return rows.length === 1;
}

/** Null: a fact to be read from the chain, which moves nothing. */
const EFFECTS: Readonly<Record<RecordKind, Effect | null>> = {
  // It is about no contract.
  availability: () => Promise.resolve(notApplied('RECORD_INVALID')),
  provisioned: applyProvisioned,
  failed: applyFailed,
  destroyed: applyDestroyed,
  health: null,
  password_reset: (report) => applyChange(report, 'reset_password'),
  ssh_key_rotated: (report) => applyChange(report, 'rotate_ssh_key'),
  stopped: (report) => closeWork(report, 'stop'),
  started: (report) => closeWork(report, 'start'),
};

async function applyProvisioned({ context, trx, contract, record, agent }: Report): Promise<Outcome> {
  if (record.epoch !== contract.epoch) return notApplied('LEASE_STALE');
  if (contract.state !== 'provisioning') return notApplied('RECORD_CONTRADICTS');
  const access = readAccess(record.data);
  if (access === null) return notApplied('RECORD_INVALID');
  const now = context.clock.now();
  await finishWork(trx, contract.id, 'provision', now);
  const after = await moveContract(context, trx, contract, {
    event: 'provision',
    actor: agentName(agent),
    reason: 'The agent reports the instance.',
    set: { provisioned_at: now, access: JSON.stringify(access) },
  });
  await requestVerification(context, trx, after);
  return APPLIED;
}

async function applyFailed({ context, trx, contract, record, agent }: Report): Promise<Outcome> {
  if (record.epoch !== contract.epoch) return notApplied('LEASE_STALE');
  const kind = record.data['order_kind'];
  if (isCredentialKind(kind)) {
    const failed = { kind, failure: changeFailure(record.data), actor: agentName(agent) };
    await failChange(context, trx, contract, failed);
    return APPLIED;
  }
  if (contract.state !== 'provisioning') return notApplied('RECORD_CONTRADICTS');
  const failure = readFailure(record.data);
  await finishWork(trx, contract.id, 'provision', context.clock.now());
  await moveContract(context, trx, contract, {
    event: 'fail',
    actor: agentName(agent),
    reason: failure.detail,
    set: { last_error: JSON.stringify(failure) },
  });
  return APPLIED;
}

/** The password or the key is another one now. */
async function applyChange(
  { context, trx, contract, record, agent }: Report,
  kind: CredentialKind,
): Promise<Outcome> {
  if (record.epoch !== contract.epoch) return notApplied('LEASE_STALE');
  if (isTerminal(contract.state)) return notApplied('RECORD_CONTRADICTS');
  const outcome = await completeChange(context, trx, contract, { kind, record, actor: agentName(agent) });
  return outcome === 'RECORD_INVALID' ? notApplied(outcome) : { outcome };
}

/** Its order is carried out. What is done under an old lease may have been undone since: it closes nothing. */
async function closeWork({ context, trx, contract, record }: Report, kind: OrderKind): Promise<Outcome> {
  if (record.epoch !== contract.epoch) return notApplied('LEASE_STALE');
  await finishWork(trx, contract.id, kind, context.clock.now());
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
