/**
 * Delivery is believed when it was seen: the coordinator looks at the instance's SSH port and compares the host key
 * with the one that the agent reported. Where it cannot reach the instance, the agent's own check counts, and the
 * contract says which of the two it was (DESIGN.md, section 4).
 */
import { AppError, isAppError } from '@dc/shared/errors';
import type { WireAccess } from '@dc/shared/wire/contract';
import { isLoopback } from '../config/loopback.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { defineTopic } from '../jobs/outbox.ts';
import { HOUR_MS } from './contract-rules.ts';
import { moveContract } from './contract-service.ts';
import { findContract, type ContractRow } from './contract-store.ts';
import { mayProbe } from './may-probe.ts';
import { probeHostKey } from './probe-ssh.ts';

/** Deliveries to look at; the key of the row is the contract's id. */
export const VERIFY_TOPIC = defineTopic<Record<string, never>>('contract.verify');

const PROBE_TIMEOUT_MS = 5_000;

/** Asks for the look, in the transaction that takes the agent's report. */
export async function requestVerification(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
): Promise<void> {
  await context.outbox.enqueue(trx, VERIFY_TOPIC, { key: contract.id, payload: {} });
}

/**
 * The outbox handler. Throws INSTANCE_UNREACHABLE, to be tried again, until `verifyTimeoutMs` after the report is
 * over; then the agent's check counts. A wrong host key fails the contract: somebody else answers there.
 */
export async function verifyDelivery(context: Context, contractId: string): Promise<void> {
  const contract = await findContract(context.db.read, contractId);
  if (contract?.state !== 'provisioned' || contract.access === null) return;
  const access = JSON.parse(contract.access) as WireAccess;
  const seen = await look(context, contract, access);
  await context.db.write(async (trx) => {
    const current = await findContract(trx, contractId);
    if (current?.state !== 'provisioned') return;
    if (seen !== 'unreachable' && seen !== access.host_key_fingerprint)
      await failDelivery(context, trx, current);
    else await activate(context, trx, current, seen === 'unreachable' ? 'agent' : 'coordinator');
  });
}

/** The fingerprint that the coordinator sees there, or `unreachable` once it has tried for long enough. */
async function look(context: Context, contract: ContractRow, access: WireAccess): Promise<string> {
  const { host, port, host_key } = access;
  // On one machine for a trial, instances are on loopback; in production nobody's are.
  if (!mayProbe(host, isLoopback(new URL(context.config.publicUrl).hostname))) return 'unreachable';
  const [keyType = ''] = host_key.split(' ');
  try {
    return await probeHostKey({ host, port, keyType, timeoutMs: PROBE_TIMEOUT_MS }, context.clock);
  } catch (error) {
    if (!isAppError(error, 'INSTANCE_UNREACHABLE')) throw error;
    const reportedAt = contract.provisioned_at ?? contract.state_since_at;
    if (context.clock.now() - reportedAt < context.config.contracts.verifyTimeoutMs) {
      throw new AppError('INSTANCE_UNREACHABLE', undefined, { cause: error, retryAfterMs: 1_000 });
    }
    return 'unreachable';
  }
}

async function activate(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  by: 'agent' | 'coordinator',
): Promise<void> {
  const now = context.clock.now();
  const reason =
    by === 'coordinator'
      ? 'The coordinator saw the SSH host key that the agent reported.'
      : 'The coordinator cannot reach the instance; the agent’s own check counts.';
  await moveContract(context, trx, contract, {
    event: 'activate',
    actor: 'system',
    reason,
    set: { active_at: now, ends_at: now + contract.duration_hours * HOUR_MS, verified_by: by },
  });
}

async function failDelivery(context: Context, trx: Transaction, contract: ContractRow): Promise<void> {
  const last_error = JSON.stringify({
    code: 'INSTANCE_UNREACHABLE',
    detail: 'Another SSH host key answers at the address that the agent reported.',
    remedy: 'You get all of your money back. Choose another offering.',
  });
  await moveContract(context, trx, contract, {
    event: 'fail',
    actor: 'system',
    reason: 'The SSH host key is not the one that the agent reported.',
    set: { last_error },
  });
}
