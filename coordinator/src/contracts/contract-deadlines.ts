/**
 * What time does to a contract. Pure: until when a state may last, and what ends it. Each state that has a deadline
 * leaves a row in the outbox for that moment, so that expiry comes at its minute and waiting costs nothing.
 */
import type { ErrorCode } from '@dc/shared/errors';
import type { ContractEvent, ContractState } from '@dc/shared/state/contract';
import type { CoordinatorConfig } from '../config/config.ts';
import { defineTopic } from '../jobs/outbox.ts';
import { HOUR_MS } from './contract-rules.ts';
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

/** Longer than a dispute about a payment takes. */
const PAUSE_MS_MAX = 120 * 24 * HOUR_MS;

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
    change: undelivered('OFFERING_UNSERVED', 'No agent took the order in time.'),
  }),
  provisioning: (contract, limits) => ({
    at: contract.state_since_at + limits.provisionTimeoutMs,
    event: 'fail',
    reason: 'The instance was not delivered in time.',
    change: undelivered('INSTANCE_UNREACHABLE', 'The instance was not delivered in time.'),
  }),
  // The look is over by then, one way or the other; where it is not, the renter does not pay for that.
  provisioned: (contract, limits) => ({
    at: contract.state_since_at + limits.verifyTimeoutMs + limits.provisionTimeoutMs,
    event: 'fail',
    reason: 'The delivery was not verified in time.',
    change: undelivered('INSTANCE_UNREACHABLE', 'The delivery was not verified in time.'),
  }),
  active: ({ ends_at: endsAt }) =>
    endsAt === null ? null : { at: endsAt, event: 'expire', reason: 'The paid time is over.', change: {} },
  // The clock stands still, but a place is not kept for ever; what was not used goes back.
  paused: (contract) =>
    // The bank decides about a dispute, however long that takes: its money is held until then.
    contract.payment_state === 'disputed'
      ? null
      : {
          at: contract.state_since_at + PAUSE_MS_MAX,
          event: 'expire',
          reason: 'It was paused for as long as a pause may last.',
          change: {},
        },
};

/** What a contract says that could not be delivered: the reason, and what becomes of the money. */
export function undelivered(code: ErrorCode, detail: string): ContractChange {
  const remedy = 'You get all of your money back. Choose another offering, or try again later.';
  return { last_error: JSON.stringify({ code, detail, remedy }) };
}
