/**
 * Changing an instance's password or key: an order to the agent, and what its record makes of it. The coordinator
 * sees a password only in boxes that it cannot open (invariant I14).
 */
import { AppError } from '@dc/shared/errors';
import type { RecordPayload } from '@dc/shared/evidence/record';
import type { OrderPayload } from '@dc/shared/orders/order';
import type { SshPublicKey } from '@dc/shared/ssh-public-key';
import type { CredentialKind } from '@dc/shared/wire/contract';
import { listActiveKeys } from '../accounts/account-store.ts';
import { findLiveWork, openWork, updateWork } from '../agents/work-store.ts';
import { noteOnContract } from '../contracts/contract-service.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Failure } from '../contracts/reported-facts.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { assertChangeable, CHANGE_TEXT, PASSWORD_KEPT_MS, recipientsOf } from './credential-rules.ts';
import {
  findChange,
  findLatestChange,
  findPendingChange,
  finishChange,
  insertChange,
} from './credential-store.ts';
import { readPassword } from './reported-change.ts';

/** What is asked for, and by whom (as the contract's history names them). */
export type ChangeRequest = { actor: string } & (
  { kind: 'reset_password' } | { kind: 'rotate_ssh_key'; key: SshPublicKey }
);

/** Orders the change from the agent. Throws CONTRACT_STATE, CREDENTIALS_PENDING or SSH_KEY_INVALID; then nothing was changed. */
export async function requestChange(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  request: ChangeRequest,
): Promise<ContractRow> {
  const { kind, actor } = request;
  assertChangeable(contract);
  if ((await findPendingChange(trx, contract.id)) !== null) throw new AppError('CREDENTIALS_PENDING');
  // Its order and this one would take each other's lease away.
  if ((await findLiveWork(trx, contract.id, 'start')) !== null)
    throw new AppError('CONTRACT_STATE', 'The instance is just being started. Ask again in a moment.');
  const key = kind === 'rotate_ssh_key' ? request.key.line : null;
  if (key === contract.ssh_public_key)
    throw new AppError('SSH_KEY_INVALID', 'This is the key that the contract has.', {
      remedy: 'Send another key.',
    });
  const keys = await listActiveKeys(trx, contract.renter_pubkey);
  const workId = await openWork(context, trx, contract, { kind });
  await insertChange(trx, {
    work_id: workId,
    contract_id: contract.id,
    kind,
    asked_at: context.clock.now(),
    seal_to: kind === 'reset_password' ? JSON.stringify(keys.map(({ public_key }) => public_key)) : null,
    ssh_public_key: key,
  });
  return noteOnContract(context, trx, contract, {
    event: kind,
    actor,
    reason: CHANGE_TEXT[kind].asked,
    set: { last_error: null },
  });
}

/** What the order of a change says. */
export async function changeSpec(
  trx: Transaction,
  contract: ContractRow,
  workId: string,
): Promise<OrderPayload['spec']> {
  const change = await findChange(trx, workId);
  if (change === null) throw new Error(`work ${workId} has no change of credentials`);
  if (change.kind === 'reset_password') return { seal_to: recipientsOf(change) };
  return { ssh_public_key: change.ssh_public_key ?? '', replaces: contract.ssh_public_key };
}

/**
 * Takes what an agent reports as done under the contract's present epoch. Where nobody asked, it is a fact that moves
 * nothing. RECORD_INVALID where the boxes cannot be used: the change has then failed.
 */
export async function completeChange(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { kind, record, actor }: { kind: CredentialKind; record: RecordPayload; actor: string },
): Promise<'applied' | 'already_applied' | 'RECORD_INVALID'> {
  const now = context.clock.now();
  const change = await findLatestChange(trx, contract.id, kind);
  if (change === null) return 'applied';
  if (change.done_at !== null) return 'already_applied';
  const made = kind === 'reset_password' ? readPassword(record.data, recipientsOf(change).length) : null;
  if (kind === 'reset_password' && made === null) {
    const failure = {
      code: 'RECORD_INVALID',
      detail: 'The provider’s agent sent no password that could be kept.',
      remedy: 'Ask for it again. If it fails again, ask the provider.',
    };
    await failChange(context, trx, contract, { kind, failure, actor });
    return 'RECORD_INVALID';
  }
  await endWork(trx, contract.id, kind, { state: 'done', now });
  await finishChange(trx, change, {
    at: now,
    made: made === null ? null : { ...made, expiresAt: now + PASSWORD_KEPT_MS },
  });
  await noteOnContract(context, trx, contract, {
    event: kind,
    actor,
    reason: CHANGE_TEXT[kind].done,
    set: {
      last_error: null,
      ...(change.ssh_public_key === null ? {} : { ssh_public_key: change.ssh_public_key }),
    },
  });
  return 'applied';
}

/** Ends a change that the agent could not make, and says why. Nothing where none is under way. */
export async function failChange(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  { kind, failure, actor }: { kind: CredentialKind; failure: Failure; actor: string },
): Promise<void> {
  if ((await findLiveWork(trx, contract.id, kind)) === null) return;
  await endWork(trx, contract.id, kind, { state: 'withdrawn', now: context.clock.now() });
  await noteOnContract(context, trx, contract, {
    event: kind,
    actor,
    reason: failure.detail,
    set: { last_error: JSON.stringify(failure) },
  });
}

async function endWork(
  trx: Transaction,
  contractId: string,
  kind: CredentialKind,
  { state, now }: { state: 'done' | 'withdrawn'; now: number },
): Promise<void> {
  const work = await findLiveWork(trx, contractId, kind);
  if (work !== null) await updateWork(trx, work.id, { state, lease_expires_at: null, done_at: now });
}
