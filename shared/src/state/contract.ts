/**
 * The life of a contract, of its payment and of its release: the only tables that say what may follow what
 * (invariant I9). Guards that need more than the state (is it paid?) are in the coordinator's contract-rules.
 */
import { nextState, type TransitionTable } from './state-machine.ts';

export const CONTRACT_STATES = [
  'requested', // made, not yet paid and accepted
  'accepted', // paid and accepted; waits for an agent
  'provisioning', // an agent holds the lease
  'provisioned', // the agent reports the instance
  'active', // delivery is verified; the clock runs and the provider earns
  'paused', // stopped for a dispute or abuse; can be resumed
  'rejected', // the provider declined, or nobody could serve it; refunded in full
  'cancelled', // ended by the renter; the unused part refunded
  'failed', // could not be delivered; refunded in full
  'expired', // ran its term
] as const;
export type ContractState = (typeof CONTRACT_STATES)[number];

export const CONTRACT_EVENTS = [
  'accept', // paid, and accepted by the provider or automatically
  'reject', // the provider declines, or nobody can serve it in time
  'lease', // an agent took the work
  'provision', // the agent's record says that the instance is there
  'activate', // the SSH host key was seen: delivered
  'fail', // the agent's record, or the time-out, says that it cannot be delivered
  'cancel', // the renter ends it
  'pause',
  'resume',
  'expire', // the paid time is over
] as const;
export type ContractEvent = (typeof CONTRACT_EVENTS)[number];

export const CONTRACT_TRANSITIONS: TransitionTable<ContractState, ContractEvent> = {
  requested: { accept: 'accepted', reject: 'rejected', cancel: 'cancelled' },
  accepted: { lease: 'provisioning', reject: 'rejected', cancel: 'cancelled' },
  provisioning: { provision: 'provisioned', fail: 'failed', cancel: 'cancelled' },
  provisioned: { activate: 'active', fail: 'failed', cancel: 'cancelled' },
  active: { expire: 'expired', pause: 'paused', cancel: 'cancelled' },
  paused: { resume: 'active', expire: 'expired', cancel: 'cancelled' },
  rejected: {},
  cancelled: {},
  failed: {},
  expired: {},
};

/** The contract's state after `event`, or null where that is not allowed. */
export function nextContractState(state: ContractState, event: ContractEvent): ContractState | null {
  return nextState(CONTRACT_TRANSITIONS, state, event);
}

/** True where nothing can follow any more (the `release` may still be pending). */
export function isTerminal(state: ContractState): boolean {
  return Object.keys(CONTRACT_TRANSITIONS[state]).length === 0;
}

export const PAYMENT_STATES = [
  'pending',
  'succeeded',
  'failed',
  'partially_refunded',
  'refunded',
  'disputed',
] as const;
export type PaymentState = (typeof PAYMENT_STATES)[number];
export const PAYMENT_EVENTS = [
  'succeed',
  'fail',
  'refund_part',
  'refund_all',
  'dispute',
  'reinstate', // the dispute was won, and nothing had been refunded
  'reinstate_part', // the same, where a part had been
] as const;
export type PaymentEvent = (typeof PAYMENT_EVENTS)[number];

export const PAYMENT_TRANSITIONS: TransitionTable<PaymentState, PaymentEvent> = {
  pending: { succeed: 'succeeded', fail: 'failed' },
  succeeded: { refund_part: 'partially_refunded', refund_all: 'refunded', dispute: 'disputed' },
  // A payment that arrives after its failure was reported is booked, and refunded by what follows from the contract.
  failed: { succeed: 'succeeded' },
  partially_refunded: { refund_part: 'partially_refunded', refund_all: 'refunded', dispute: 'disputed' },
  refunded: { dispute: 'disputed' },
  disputed: { reinstate: 'succeeded', reinstate_part: 'partially_refunded' },
};

/** The payment's state after `event`, or null where that is not allowed. */
export function nextPaymentState(state: PaymentState, event: PaymentEvent): PaymentState | null {
  return nextState(PAYMENT_TRANSITIONS, state, event);
}

/** What has become of the instance of a contract that ended: `none` while it lives or where none was ever ordered. */
export const RELEASE_STATES = ['none', 'pending', 'released'] as const;
export type ReleaseState = (typeof RELEASE_STATES)[number];

/** What has become of the payment for more time. `refunded`: it came too late, or more was rented than is offered. */
export const EXTENSION_STATES = ['pending', 'paid', 'failed', 'refunded'] as const;
export type ExtensionState = (typeof EXTENSION_STATES)[number];
