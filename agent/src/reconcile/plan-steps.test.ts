/** A table of situations: what is wanted, what is there, what the journal says, and what the planner asks for. */
import type { OrderKind } from '@dc/shared/orders/order';
import { describe, expect, it } from 'vitest';
import type { ContractView, JournalInstance, JournalOrder, Lease, SagaView } from '../journal/journal.ts';
import type { SagaEvent, StepEventName, UnwindReason } from '../journal/saga-event.ts';
import { aLease, anOrder, CONTRACT_ID, NOON } from '../journal/testing/builders.ts';
import type { Existence, Handle } from '../provisioners/provisioner.ts';
import { allSagas } from '../sagas/all-sagas.ts';
import type { SagaName } from '../sagas/saga-inputs.ts';
import type { SagaParts } from '../sagas/saga-parts.ts';
import { desiredOf } from './desired.ts';
import { planSteps, type Situation } from './plan-steps.ts';

const DEFINITIONS = allSagas({} as SagaParts);
const HANDLE: Handle = { driver: 'memory', version: 1, id: 'i-1' };
const NOW = NOON + 60_000;
const RUNNING: JournalInstance = {
  contractId: CONTRACT_ID,
  phase: 'running',
  handle: HANDLE,
  ssh: null,
  changedAt: NOON,
};
const REACHABLE: JournalInstance = {
  ...RUNNING,
  ssh: { host: '127.0.0.1', port: 22, user: 'renter', hostKeyFingerprint: '', hostKey: '' },
};
const STOPPED: JournalInstance = { ...RUNNING, phase: 'stopped' };
const DESTROYED: JournalInstance = { ...RUNNING, phase: 'destroyed' };

const UNKNOWN: Existence = { existence: 'unknown', reason: 'the backend does not answer' };
const ABSENT: Existence = { existence: 'absent', evidence: 'a complete list without it' };
const seen = (token: string | null): Existence => ({
  existence: 'present',
  instance: { handle: HANDLE, seal: 'sealed', contractId: CONTRACT_ID, token, power: 'running', ssh: null },
});

const order = (kind: OrderKind, epoch = 1): JournalOrder => ({ ...anOrder({ kind, epoch }), returned: null });
const returned = (kind: OrderKind, epoch = 1): JournalOrder => ({
  ...order(kind, epoch),
  returned: { code: 'capacity', detail: '', nothingMade: true, at: NOON, deliveredAt: null },
});

interface SagaWish {
  readonly outcome?: NonNullable<SagaView['finished']>['outcome'];
  readonly epoch?: number;
  readonly events?: SagaEvent[];
}

const event = (step: string, name: StepEventName, data: unknown = null): SagaEvent => ({
  sagaId: 's',
  step,
  event: name,
  attempt: 1,
  at: NOON,
  data,
});
const unwinding = (data: UnwindReason): SagaEvent => ({
  sagaId: 's',
  step: null,
  event: 'unwinding',
  attempt: 0,
  at: NOON,
  data,
});
const CREATED: SagaEvent = { sagaId: 's', step: null, event: 'created', attempt: 0, at: NOON, data: null };
const NAMES = [event('names', 'started'), event('names', 'succeeded', { token: 'our-token', hostname: 'h' })];
const failed = (retryAt: number | null): object => ({
  code: 'PROVISIONER_UNAVAILABLE',
  detail: 'd',
  remedy: 'r',
  retryAt,
});

function saga(name: SagaName, { outcome, epoch, events = [] }: SagaWish = {}): SagaView {
  const kinds = {
    'provision-instance': 'provision',
    'release-instance': 'destroy',
    'stop-instance': 'stop',
  } as const;
  const kind = kinds[name as keyof typeof kinds] ?? 'start';
  const finished = outcome === undefined ? null : { outcome, at: NOON + 10, epoch: epoch ?? null };
  return {
    sagaId: `${name}-1`,
    contractId: CONTRACT_ID,
    name,
    version: 1,
    orderId: order(kind).orderId,
    input: {},
    createdAt: NOON,
    finished,
    events: [CREATED, ...events],
  };
}

const reported = (name: SagaName, epoch = 1): SagaView => saga(name, { outcome: 'reported', epoch });

interface Case {
  readonly name: string;
  readonly orders?: JournalOrder[];
  readonly sagas?: SagaView[];
  readonly instance?: JournalInstance;
  readonly lease?: Partial<Lease> | null;
  readonly seen?: Existence;
  readonly situation?: Partial<Situation>;
  readonly pausedAt?: number;
  /** Matched against the plan; an empty list means that there is nothing to do. */
  readonly plan: object[];
}

const start = (name: SagaName): object => ({ name: 'startSaga', saga: name, contractId: CONTRACT_ID });
const wait = (reason: string): object => ({ name: 'wait', reason });

const CASES: Case[] = [
  { name: 'a contract without an order that counts: nothing', orders: [returned('provision')], plan: [] },
  {
    name: 'a new provision order: make it',
    orders: [order('provision')],
    plan: [start('provision-instance')],
  },
  {
    name: 'a new provision order while the backend cannot be seen: make it all the same, the create looks for itself',
    orders: [order('provision')],
    seen: UNKNOWN,
    plan: [start('provision-instance')],
  },
  {
    name: 'a provision order without a lease: wait',
    orders: [order('provision')],
    lease: null,
    plan: [wait('lease_lost')],
  },
  {
    name: 'a provision order whose lease is lost: wait',
    orders: [order('provision')],
    lease: { lost: true },
    plan: [wait('lease_lost')],
  },
  {
    name: 'a provision order with 60 % of its lease gone: wait',
    orders: [order('provision')],
    lease: { grantedAt: NOON, expiresAt: NOON + 100_000 },
    plan: [{ ...wait('lease_lost'), since: NOON + 60_000 }],
  },
  {
    name: 'no slot: wait for one',
    orders: [order('provision')],
    situation: { slotFree: false },
    plan: [wait('waiting_for_slot')],
  },
  {
    name: 'an order that was declined and came again: make it',
    orders: [returned('provision', 1), order('provision', 2)],
    sagas: [saga('provision-instance', { outcome: 'declined' })],
    plan: [start('provision-instance')],
  },
  {
    name: 'a running instance as ordered: nothing',
    orders: [order('provision')],
    sagas: [reported('provision-instance')],
    instance: RUNNING,
    seen: seen('our-token'),
    plan: [],
  },
  {
    name: 'a running instance that the backend does not know now: nothing',
    orders: [order('provision')],
    sagas: [reported('provision-instance')],
    instance: RUNNING,
    seen: UNKNOWN,
    plan: [],
  },
  {
    name: 'a running instance that is proved gone: say so, and build no other',
    orders: [order('provision')],
    sagas: [reported('provision-instance')],
    instance: RUNNING,
    seen: ABSENT,
    plan: [wait('instance_missing')],
  },
  {
    name: 'a running instance whose work was leased again: report again',
    orders: [order('provision', 1), order('provision', 2)],
    sagas: [reported('provision-instance', 1)],
    instance: RUNNING,
    plan: [start('provision-instance')],
  },
  {
    name: 'a failure that was reported: nothing',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { outcome: 'failed', epoch: 1 })],
    plan: [],
  },
  {
    name: 'a leftover of a failed saga: remove it',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { outcome: 'failed', epoch: 1, events: NAMES })],
    seen: seen('our-token'),
    plan: [{ ...start('remove-leftover'), input: { token: 'our-token' } }],
  },
  {
    name: 'an instance of the contract that this agent did not make: leave it',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { outcome: 'failed', epoch: 1, events: NAMES })],
    seen: seen('another-token'),
    plan: [],
  },
  {
    name: 'an instance whose token the backend does not keep: leave it',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { outcome: 'failed', epoch: 1, events: NAMES })],
    seen: seen(null),
    plan: [],
  },
  {
    name: 'an open provisioning: go on, and look at the lease in time',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { events: [...NAMES, event('create', 'started')] })],
    lease: { grantedAt: NOON, expiresAt: NOON + 200_000 },
    plan: [{ name: 'resumeSaga', sagaId: 'provision-instance-1', until: NOON + 120_000 }],
  },
  {
    name: 'an open provisioning whose next try is due later: wait until then',
    orders: [order('provision')],
    sagas: [
      saga('provision-instance', {
        events: [...NAMES, event('create', 'started'), event('create', 'failed', failed(NOW + 500))],
      }),
    ],
    plan: [{ ...wait('retry_later'), until: NOW + 500 }],
  },
  {
    name: 'an open provisioning whose next try is due: go on',
    orders: [order('provision')],
    sagas: [
      saga('provision-instance', {
        events: [...NAMES, event('create', 'started'), event('create', 'failed', failed(NOW))],
      }),
    ],
    plan: [{ name: 'resumeSaga' }],
  },
  {
    name: 'an open provisioning without a lease: wait',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { events: [...NAMES, event('create', 'started')] })],
    lease: { lost: true },
    plan: [wait('lease_lost')],
  },
  {
    name: 'an open provisioning without a slot: wait',
    orders: [order('provision')],
    sagas: [saga('provision-instance', { events: [...NAMES, event('create', 'started')] })],
    situation: { slotFree: false },
    plan: [wait('waiting_for_slot')],
  },
  {
    name: 'an undo without a lease and without a slot: go on',
    orders: [order('provision')],
    sagas: [
      saga('provision-instance', {
        events: [...NAMES, event('create', 'started'), unwinding({ why: 'cancelled', orderId: 'o' })],
      }),
    ],
    lease: { lost: true },
    situation: { slotFree: false },
    plan: [{ name: 'resumeSaga', until: null }],
  },
  {
    name: 'a saga of another version: leave it',
    orders: [order('provision')],
    sagas: [{ ...saga('provision-instance'), version: 2 }],
    plan: [wait('saga_unknown')],
  },
  {
    name: 'a tombstone while provisioning: turn it round',
    orders: [order('provision', 1), order('destroy', 2)],
    sagas: [saga('provision-instance', { events: [...NAMES, event('create', 'started')] })],
    plan: [{ name: 'cancelSaga', sagaId: 'provision-instance-1', orderId: order('destroy').orderId }],
  },
  {
    name: 'a tombstone while the undo is on: let it end',
    orders: [order('provision', 1), order('destroy', 2)],
    sagas: [
      saga('provision-instance', {
        events: [...NAMES, event('create', 'started'), unwinding({ why: 'cancelled', orderId: 'o' })],
      }),
    ],
    plan: [{ name: 'resumeSaga' }],
  },
  {
    name: 'a tombstone for a running instance: release it by its handle',
    orders: [order('provision', 1), order('destroy', 2)],
    sagas: [reported('provision-instance')],
    instance: RUNNING,
    plan: [
      {
        ...start('release-instance'),
        input: { known: HANDLE, wasBegun: true, tombstone: { reason: 'cancelled' } },
      },
    ],
  },
  {
    name: 'a tombstone without a lease and without a slot: release all the same',
    orders: [order('destroy', 2)],
    lease: null,
    situation: { slotFree: false },
    plan: [{ ...start('release-instance'), input: { known: null, wasBegun: false } }],
  },
  {
    name: 'a tombstone while destruction is paused: wait',
    orders: [order('destroy', 2)],
    sagas: [
      saga('release-instance', { events: [event('find', 'started'), event('find', 'succeeded', [HANDLE])] }),
    ],
    pausedAt: NOON,
    plan: [{ ...wait('destruction_paused'), since: NOON, until: null }],
  },
  {
    name: 'a release that was confirmed: go on',
    orders: [order('destroy', 2)],
    sagas: [
      saga('release-instance', { events: [event('find', 'started'), event('find', 'succeeded', [HANDLE])] }),
    ],
    plan: [{ name: 'resumeSaga' }],
  },
  {
    name: 'a released contract: nothing',
    orders: [order('provision', 1), order('destroy', 2)],
    sagas: [reported('provision-instance', 1), reported('release-instance', 2)],
    instance: DESTROYED,
    seen: ABSENT,
    plan: [],
  },
  {
    name: 'a released contract whose tombstone was leased again: report again',
    orders: [order('destroy', 2), order('destroy', 3)],
    sagas: [reported('release-instance', 2)],
    instance: DESTROYED,
    plan: [start('release-instance')],
  },
  {
    name: 'a released contract that turns up at the backend: the tombstone stands for it too',
    orders: [order('destroy', 2)],
    sagas: [reported('release-instance', 2)],
    instance: DESTROYED,
    seen: seen('whatever'),
    plan: [start('release-instance')],
  },
  {
    name: 'an old provision order after the tombstone: build nothing',
    orders: [order('destroy', 2), order('provision', 1)],
    sagas: [reported('release-instance', 2)],
    instance: DESTROYED,
    plan: [],
  },
  {
    name: 'a newer provision order after the tombstone: hand it back',
    orders: [order('destroy', 2), order('provision', 3)],
    sagas: [reported('release-instance', 2)],
    instance: DESTROYED,
    plan: [{ name: 'returnOrder', order: { epoch: 3 }, code: 'refused', nothingMade: false }],
  },
  {
    name: 'a stop order: stop',
    orders: [order('provision', 1), order('stop', 2)],
    sagas: [reported('provision-instance', 1)],
    instance: RUNNING,
    plan: [{ ...start('stop-instance'), input: { handle: HANDLE } }],
  },
  {
    name: 'a start order after a stop: start',
    orders: [order('provision', 1), order('stop', 2), order('start', 3)],
    sagas: [reported('provision-instance', 1), reported('stop-instance', 2)],
    instance: STOPPED,
    plan: [start('start-instance')],
  },
  {
    name: 'a start order while the stop does not work: drop the stop',
    orders: [order('provision', 1), order('stop', 2), order('start', 3)],
    sagas: [reported('provision-instance', 1), saga('stop-instance', { events: [event('stop', 'started')] })],
    instance: RUNNING,
    plan: [{ name: 'cancelSaga', sagaId: 'stop-instance-1' }],
  },
  {
    name: 'a stop order without an instance: hand it back',
    orders: [order('stop', 2)],
    plan: [{ name: 'returnOrder', code: 'refused', nothingMade: true }],
  },
  {
    name: 'an order for a new password: make it',
    orders: [order('provision', 1), order('reset_password', 2)],
    sagas: [reported('provision-instance', 1)],
    instance: REACHABLE,
    plan: [start('reset-password')],
  },
  {
    name: 'an order for another key: put it there',
    orders: [order('provision', 1), order('rotate_ssh_key', 2)],
    sagas: [reported('provision-instance', 1)],
    instance: REACHABLE,
    plan: [start('rotate-ssh-key')],
  },
  {
    name: 'an order for a new password that is answered: nothing',
    orders: [order('provision', 1), order('reset_password', 2)],
    sagas: [reported('provision-instance', 1), reported('reset-password', 2)],
    instance: REACHABLE,
    plan: [],
  },
  {
    name: 'an order for a new password that a stop and a start came after: it was withdrawn',
    orders: [order('provision', 1), order('reset_password', 2), order('stop', 3), order('start', 4)],
    sagas: [reported('provision-instance', 1), reported('stop-instance', 3), reported('start-instance', 4)],
    instance: REACHABLE,
    plan: [],
  },
  {
    name: 'an order for a new password without its lease: wait',
    orders: [order('provision', 1), order('reset_password', 2)],
    sagas: [reported('provision-instance', 1)],
    instance: REACHABLE,
    lease: { lost: true },
    plan: [wait('lease_lost')],
  },
  {
    name: 'an order for a new password of an instance that is off: hand it back',
    orders: [order('provision', 1), order('reset_password', 2)],
    sagas: [reported('provision-instance', 1)],
    instance: { ...REACHABLE, phase: 'stopped' },
    plan: [{ name: 'returnOrder', order: { epoch: 2 }, code: 'refused', nothingMade: false }],
  },
  {
    name: 'an order for a new password where this agent holds no instance: hand it back',
    orders: [order('reset_password', 2)],
    plan: [{ name: 'returnOrder', order: { epoch: 2 }, code: 'refused' }],
  },
];

function situationOf(one: Case): Situation {
  const orders = one.orders ?? [];
  const lease = one.lease === null ? null : aLease(orders.at(-1) ?? order('provision'), one.lease);
  const view: ContractView = {
    contractId: CONTRACT_ID,
    orders,
    lease,
    sagas: one.sagas ?? [],
    instance: one.instance ?? null,
    pausedAt: one.pausedAt ?? null,
  };
  return {
    view,
    desired: desiredOf(view),
    observed: { existence: one.seen ?? UNKNOWN, at: NOW },
    now: NOW,
    definitionOf: ({ name, version }) =>
      DEFINITIONS.find((one) => one.name === name && one.version === version) ?? null,
    slotFree: true,
    ...one.situation,
  };
}

describe('The planner', () => {
  it.each(CASES)('$name', (one) => {
    const plan = planSteps(situationOf(one));
    expect(plan).toHaveLength(one.plan.length);
    expect(plan).toMatchObject(one.plan);
  });

  it('destroys nothing in any situation without a tombstone, whatever the backend seems to hold', () => {
    for (const one of CASES) {
      if ((one.orders ?? []).some(({ kind }) => kind === 'destroy')) continue;
      for (const existence of [UNKNOWN, ABSENT, seen(null), seen('another-token')]) {
        const steps = planSteps({ ...situationOf(one), observed: { existence, at: NOW + 1 } });
        const names = steps.map((step) =>
          'saga' in step ? step.saga : 'sagaId' in step ? `${step.name} ${step.sagaId}` : step.name,
        );
        expect(names).not.toContain('release-instance');
        expect(names).not.toContain('remove-leftover');
        expect(names).not.toContain('cancelSaga provision-instance-1');
      }
    }
  });

  it('does not act on an observation that is older than what the journal knows', () => {
    const one = CASES.find(({ name }) => name.startsWith('a released contract that turns up'))!;
    const old = { existence: seen('whatever'), at: NOON };
    expect(planSteps({ ...situationOf(one), observed: old })).toEqual([]);
  });

  it('plans the same in whatever order the orders came', () => {
    for (const one of CASES) {
      const turned = { ...one, orders: [...(one.orders ?? [])].reverse() };
      const names = (plan: ReturnType<typeof planSteps>): string[] => plan.map(({ name }) => name);
      expect(names(planSteps(situationOf(turned)))).toEqual(names(planSteps(situationOf(one))));
    }
  });
});
