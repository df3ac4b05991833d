/** What the states, stages and actors of a contract are called on the page, and what each means for the renter. */
import type { ContractState } from '@dc/shared/state/contract';
import type { WireContract } from '@dc/shared/wire/contract';

/** How a state is shown: `wait` moves on by itself, `good` works, `bad` went wrong, `over` has ended in order. */
export type Tone = 'wait' | 'good' | 'bad' | 'over';

export interface StateText {
  /** Two or three words, for lists. */
  label: string;
  headline: string;
  /** What it means, and what happens next. */
  meaning: string;
  tone: Tone;
}

const STATES: Readonly<Record<ContractState, StateText>> = {
  requested: {
    label: 'Waiting for payment',
    headline: 'Waiting for your payment',
    meaning: 'Nothing is built before the payment is confirmed. It then goes on by itself.',
    tone: 'wait',
  },
  accepted: {
    label: 'Paid, in line',
    headline: 'Paid. Waiting for the provider',
    meaning: 'The order is with the provider’s agent, which takes it up by itself.',
    tone: 'wait',
  },
  provisioning: {
    label: 'Being built',
    headline: 'Your instance is being built',
    meaning: 'The provider’s agent is making it. Should that fail, you get all of your money back.',
    tone: 'wait',
  },
  provisioned: {
    label: 'Being checked',
    headline: 'Built. Checking the login',
    meaning:
      'The instance is there. The paid time starts once its SSH port has answered with the right host key.',
    tone: 'wait',
  },
  active: {
    label: 'Running',
    headline: 'Your instance is ready',
    meaning: 'Log in with the command below.',
    tone: 'good',
  },
  paused: {
    label: 'Paused',
    headline: 'Your instance is paused',
    meaning:
      'It was stopped because of a dispute or a report of abuse. The paid time does not run meanwhile.',
    tone: 'bad',
  },
  rejected: {
    label: 'Not accepted',
    headline: 'The order was not accepted',
    meaning: 'Nothing was built, and nothing is owed.',
    tone: 'bad',
  },
  cancelled: {
    label: 'Cancelled',
    headline: 'Cancelled',
    meaning: 'The contract has ended, and the paid time stopped at that moment.',
    tone: 'over',
  },
  failed: {
    label: 'Failed',
    headline: 'The instance could not be delivered',
    meaning: 'Nothing is owed for it.',
    tone: 'bad',
  },
  expired: {
    label: 'Completed',
    headline: 'Completed',
    meaning: 'The contract ran its whole paid time.',
    tone: 'over',
  },
};

/** How the contract's state is shown. */
export function stateText(state: ContractState): StateText {
  return STATES[state];
}

/** True once nothing can follow. The transition table says the same; this avoids shipping it to the browser. */
export function hasEnded(contract: Pick<WireContract, 'ended_at'>): boolean {
  return contract.ended_at !== null;
}

/** The stages from order to login, in order; `name` as on the wire. */
export const STAGES: readonly { name: string; label: string }[] = [
  { name: 'payment', label: 'Payment' },
  { name: 'queue', label: 'Waiting for the provider' },
  { name: 'provisioning', label: 'Building the instance' },
  { name: 'verification', label: 'Checking the login' },
];

/** What has become of the money of a contract that has ended; null while it lives. */
export function moneyOutcome(contract: WireContract, refunded: string | null): string | null {
  if (!hasEnded(contract)) return null;
  if (contract.paid_at === null) return 'You were not charged.';
  if (refunded === null) {
    return contract.state === 'expired'
      ? 'The whole time was used: there is nothing to refund.'
      : 'Nothing is left to refund.';
  }
  if (contract.refund_approval?.status === 'declined')
    return `Refunded: ${refunded}, of it into your wallet what was not sent back.`;
  const isConfirmed =
    contract.payment.status === 'refunded' || contract.payment.status === 'partially_refunded';
  return isConfirmed ? `Refunded: ${refunded}.` : `Refund on its way: ${refunded}.`;
}

/** What has become of the instance of a contract that has ended; null while it lives or where none was made. */
export function releaseText(contract: WireContract): string | null {
  switch (contract.release) {
    case 'none':
      return null;
    case 'pending':
      return 'The instance is being removed. Its removal is the provider’s business and costs you nothing.';
    case 'released':
      return 'The instance is gone: the provider’s agent has proved its removal.';
  }
}

/** Who saw that the login works. */
export function verifiedText(contract: WireContract): string | null {
  switch (contract.verified_by) {
    case null:
      return null;
    case 'coordinator':
      return 'Checked from outside: this coordinator saw the SSH port answer with this host key.';
    case 'agent':
      return 'Checked by the provider’s own agent; this coordinator could not reach the SSH port itself.';
  }
}

/** Who did something in the history. Agents are named by a short form of their key. */
export function actorText(actor: string): string {
  const [kind = '', key = ''] = actor.split(':');
  switch (kind) {
    case 'renter':
      return 'You';
    case 'system':
      return 'Coordinator';
    case 'provider':
      return 'Provider';
    case 'admin':
      return 'Operator';
    case 'agent':
      return `Agent ${key.slice(0, 6)}`;
    default:
      return actor;
  }
}
