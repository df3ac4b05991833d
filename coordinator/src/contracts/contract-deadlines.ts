/**
 * What time does to a contract. Pure: until when a state may last, and what ends it. Each state that has a deadline
 * leaves a row in the outbox for that moment, so that expiry comes at its minute and waiting costs nothing.
 */
import type { ContractEvent, ContractState } from '@dc/shared/state/contract';
import type { CoordinatorConfig } from '../config/config.ts';
import { defineTopic } from '../jobs/outbox.ts';
import type { ContractChange, ContractRow } from './contract-store.ts';

/** Contracts whose deadline has come. The key is the contract's id and the version that set the deadline. */
export const DEADLINE_TOPIC = defineTopic<{ contractId: string }>('contract.deadline');

/** What happens to the contract as it stands, and when. */
export interface Deadline {
  at: number;
  event: ContractEvent;
  reason: string;
  change: ContractChange;
}

/** The deadline of a contract in its present state; null where it may stay for ever. */
export function deadlineOf(contract: ContractRow, limits: CoordinatorConfig['contracts']): Deadline | null {
  return DEADLINES[contract.state]?.(contract, limits) ?? null;
}

type DeadlineRule = (contract: ContractRow, limits: CoordinatorConfig['contracts']) => Deadline | null;

const DEADLINES: Readonly<Partial<Record<ContractState, DeadlineRule>>> = {
  requested: (contract, limits) => ({
    at: contract.state_since_at + limits.requestTimeoutMs,
    event: 'cancel',
    reason: 'It was not paid and accepted in time.',
    change: {},
  }),
  accepted: (contract, limits) => ({
    at: contract.state_since_at + limits.acceptTimeoutMs,
    event: 'reject',
    reason: 'No agent took it in time.',
    change: failure('OFFERING_UNSERVED', 'No agent took the order in time.'),
  }),
  provisioning: (contract, limits) => ({
    at: contract.state_since_at + limits.provisionTimeoutMs,
    event: 'fail',
    reason: 'The instance was not delivered in time.',
    change: failure('INSTANCE_UNREACHABLE', 'The instance was not delivered in time.'),
  }),
  active: expiry,
  paused: expiry,
};

function expiry(contract: ContractRow): Deadline | null {
  if (contract.ends_at === null) return null;
  return { at: contract.ends_at, event: 'expire', reason: 'The paid time is over.', change: {} };
}

function failure(code: string, detail: string): ContractChange {
  const remedy = 'You get all of your money back. Choose another offering, or try again later.';
  return { last_error: JSON.stringify({ code, detail, remedy }) };
}
