/** The tables against what DESIGN, section 4, says, written down a second time by hand: every state with every event. */
import { describe, expect, it } from 'vitest';
import {
  CONTRACT_EVENTS,
  CONTRACT_STATES,
  CONTRACT_TRANSITIONS,
  isTerminal,
  nextContractState,
  nextPaymentState,
  PAYMENT_EVENTS,
  PAYMENT_STATES,
  RELEASE_STATES,
  type ContractEvent,
  type ContractState,
  type PaymentEvent,
  type PaymentState,
} from './contract.ts';
import { allowedEvents } from './state-machine.ts';

/** Reads a table with the events above and a state at the left; `-` stands for what is not allowed. */
function readTable<S extends string, E extends string>(text: string): Record<S, Record<E, S | null>> {
  const [events = [], ...rows] = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/ +/));
  const cells = ([state, ...next]: string[]) => [
    state,
    Object.fromEntries(events.map((event, index) => [event, next[index] === '-' ? null : next[index]])),
  ];
  return Object.fromEntries(rows.map(cells)) as Record<S, Record<E, S | null>>;
}

const CONTRACT = readTable<ContractState, ContractEvent>(`
               accept    reject    lease         provision    activate  fail    cancel     pause   resume  expire
  requested    accepted  rejected  -             -            -         -       cancelled  -       -       -
  accepted     -         rejected  provisioning  -            -         -       cancelled  -       -       -
  provisioning -         -         -             provisioned  -         failed  cancelled  -       -       -
  provisioned  -         -         -             -            active    failed  cancelled  -       -       -
  active       -         -         -             -            -         -       cancelled  paused  -       expired
  paused       -         -         -             -            -         -       cancelled  -       active  expired
  rejected     -         -         -             -            -         -       -          -       -       -
  cancelled    -         -         -             -            -         -       -          -       -       -
  failed       -         -         -             -            -         -       -          -       -       -
  expired      -         -         -             -            -         -       -          -       -       -
`);

const PAYMENT = readTable<PaymentState, PaymentEvent>(`
                     succeed    fail    refund_part         refund_all  dispute   reinstate  reinstate_part
  pending            succeeded  failed  -                   -           -         -          -
  succeeded          -          -       partially_refunded  refunded    disputed  -          -
  failed             succeeded  -       -                   -           -         -          -
  partially_refunded -          -       partially_refunded  refunded    disputed  -          -
  refunded           -          -       -                   -           disputed  -          -
  disputed           -          -       -                   -           -         succeeded  partially_refunded
`);

const pairs = <S extends string, E extends string>(states: readonly S[], events: readonly E[]): [S, E][] =>
  states.flatMap((state) => events.map((event): [S, E] => [state, event]));

describe('a contract', () => {
  it('has the ten states of the design', () => {
    expect([...CONTRACT_STATES].sort()).toEqual(Object.keys(CONTRACT).sort());
    expect([...CONTRACT_EVENTS].sort()).toEqual(Object.keys(CONTRACT.active).sort());
    expect(CONTRACT_STATES).toHaveLength(10);
  });

  it.each(pairs(CONTRACT_STATES, CONTRACT_EVENTS))('%s, %s', (state, event) => {
    expect(nextContractState(state, event)).toBe(CONTRACT[state][event]);
  });

  it('has exactly four ends, from which nothing leads', () => {
    expect(CONTRACT_STATES.filter(isTerminal)).toEqual(['rejected', 'cancelled', 'failed', 'expired']);
  });

  it('can be cancelled until it has ended', () => {
    for (const state of CONTRACT_STATES)
      expect(nextContractState(state, 'cancel')).toBe(isTerminal(state) ? null : 'cancelled');
  });

  it('reaches every state from requested, and an end from every state', () => {
    const after = (state: ContractState) =>
      allowedEvents(CONTRACT_TRANSITIONS, state).map((event) => nextContractState(state, event)!);
    const reachable = (from: ContractState, seen = new Set<ContractState>()): Set<ContractState> => {
      if (!seen.has(from)) for (const next of after((seen.add(from), from))) reachable(next, seen);
      return seen;
    };
    expect([...reachable('requested')].sort()).toEqual([...CONTRACT_STATES].sort());
    for (const state of CONTRACT_STATES) expect([...reachable(state)].some(isTerminal)).toBe(true);
  });

  it('is never delivered without having been accepted first (I2)', () => {
    const before = (state: ContractState) =>
      CONTRACT_STATES.filter((from) =>
        CONTRACT_EVENTS.some((event) => nextContractState(from, event) === state),
      );
    expect(before('provisioning')).toEqual(['accepted']);
    expect(before('provisioned')).toEqual(['provisioning']);
    expect(before('active')).toEqual(['provisioned', 'paused']);
    expect(before('paused')).toEqual(['active']);
    expect(before('accepted')).toEqual(['requested']);
  });

  it('knows no event that the table does not name', () => {
    expect(nextContractState('requested', 'toString' as ContractEvent)).toBeNull();
    expect(nextContractState('requested', 'constructor' as ContractEvent)).toBeNull();
    expect(nextContractState('requested', '__proto__' as ContractEvent)).toBeNull();
  });
});

describe('a payment', () => {
  it('has the states of the design', () => {
    expect([...PAYMENT_STATES].sort()).toEqual(Object.keys(PAYMENT).sort());
    expect([...PAYMENT_EVENTS].sort()).toEqual(Object.keys(PAYMENT.pending).sort());
  });

  it.each(pairs(PAYMENT_STATES, PAYMENT_EVENTS))('%s, %s', (state, event) => {
    expect(nextPaymentState(state, event)).toBe(PAYMENT[state][event]);
  });

  it('never goes back to pending, and is refunded only after it has succeeded', () => {
    for (const [state, event] of pairs(PAYMENT_STATES, PAYMENT_EVENTS))
      expect(nextPaymentState(state, event)).not.toBe('pending');
    for (const state of ['pending', 'failed'] as const)
      for (const event of ['refund_part', 'refund_all', 'dispute'] as const)
        expect(nextPaymentState(state, event)).toBeNull();
  });
});

describe('a release', () => {
  it('goes from none over pending to released', () => {
    expect(RELEASE_STATES).toEqual(['none', 'pending', 'released']);
  });
});
