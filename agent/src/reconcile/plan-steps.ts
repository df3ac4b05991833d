/**
 * PURE: what to do about one contract now. It decides which saga; the saga does it.
 *
 * INVARIANTS:
 * - Nothing here destroys because something is missing from a list, or is unknown (I5, I7): a release needs the
 *   order with the tombstone, and a leftover the token of a saga that was undone.
 * - Every state in which nothing is done although something is wanted is a `wait` with a reason.
 */
import type { ContractView, JournalOrder, SagaView } from '../journal/journal.ts';
import type { Existence } from '../provisioners/provisioner.ts';
import { foldSaga } from '../sagas/fold-status.ts';
import { isLeaseHeld, leaseStopsAt } from '../sagas/lease.ts';
import { mustWait, nextAction, recordedOutputs } from '../sagas/next-action.ts';
import { hasMadeNothing } from '../sagas/order-answer.ts';
import { ATTENTION_AFTER_ATTEMPTS, type SagaDefinition } from '../sagas/saga.ts';
import {
  provisionInput,
  releaseInput,
  resetPasswordInput,
  rotateSshKeyInput,
  type SagaInputs,
  type SagaName,
} from '../sagas/saga-inputs.ts';
import {
  changeOrderOf,
  type Desired,
  isAnswered,
  newestOrderOf,
  SAGA_OF_ORDER,
  type Wanted,
} from './desired.ts';
import type { Step, StepArguments, StepName } from './step.ts';

/** What the backend last said of a contract's instance, and when. */
export interface Observed {
  readonly existence: Existence;
  readonly at: number;
}

/** Everything that a plan depends on. */
export interface Situation {
  readonly desired: Desired;
  readonly observed: Observed;
  readonly view: ContractView;
  readonly now: number;
  /** The definition of a saga; null where this program does not know it in that version. */
  readonly definitionOf: (saga: SagaView) => SagaDefinition | null;
  /** Whether one more contract may be worked on at this backend now. */
  readonly slotFree: boolean;
}

/** The steps for one contract; none where everything is as it should be. */
export function planSteps(situation: Situation): Step[] {
  const { view } = situation;
  const open = view.sagas.find((saga) => saga.finished === null);
  if (open !== undefined) return [planOpenSaga(situation, open)];
  const declined = planReturns(situation);
  if (declined.length > 0) return declined;
  const { desired } = situation;
  const change = changeOrderOf(view);
  switch (desired.state) {
    case 'none':
      return [];
    case 'absent':
      return planAbsent(situation, desired);
    case 'running':
    case 'stopped':
      if (!desired.isAnswered) return [planBegin(situation, desired.order)];
      return change === null ? planSettled(situation) : [planBegin(situation, change)];
  }
}

function planOpenSaga(situation: Situation, open: SagaView): Step {
  const { view, now, definitionOf } = situation;
  const definition = definitionOf(open);
  if (definition === null) return wait(situation, 'saga_unknown', { since: open.createdAt, until: null });
  const against = orderAgainst(situation, open);
  const state = foldSaga(open.events);
  if (state.status === 'open' && against !== null) {
    return step(situation, 'cancelSaga', { sagaId: open.sagaId, orderId: against.orderId });
  }
  if (view.pausedAt !== null) {
    return wait(situation, 'destruction_paused', { since: view.pausedAt, until: null });
  }
  const action = nextAction(definition, state);
  const goesForward = state.status === 'open';
  const needsLease = definition.needsLease && goesForward;
  if (needsLease && !isLeaseHeld(view.lease, now)) return waitForLease(situation, open.createdAt);
  if ((action.do === 'run' || action.do === 'undo') && mustWait(action.notBefore, now)) {
    const past = state.steps[action.step.name];
    const attempts = action.do === 'undo' ? past?.undoAttempts : past?.attempts;
    const mustWork = action.do === 'undo' || action.step.policy.attempts === Infinity;
    const isStuck = mustWork && (attempts ?? 0) >= ATTENTION_AFTER_ATTEMPTS;
    const since = past?.firstStartedAt ?? open.createdAt;
    return wait(situation, isStuck ? 'needs_attention' : 'retry_later', { since, until: action.notBefore });
  }
  if (needsLease && !situation.slotFree) {
    return wait(situation, 'waiting_for_slot', { since: open.createdAt, until: null });
  }
  const until = needsLease && view.lease !== null ? leaseStopsAt(view.lease) : null;
  return step(situation, 'resumeSaga', { sagaId: open.sagaId, until });
}

/**
 * The order that makes an open saga pointless: a tombstone; for a stop the start after it and the other way round; for
 * a new password or key whatever came after it.
 */
function orderAgainst({ view, desired }: Situation, open: SagaView): JournalOrder | null {
  if (open.name === 'reset-password' || open.name === 'rotate-ssh-key') {
    const newest = newestOrderOf(view);
    return newest?.orderId === open.orderId ? null : newest;
  }
  if (desired.state === 'none' || open.name === 'release-instance' || open.name === 'remove-leftover')
    return null;
  if (desired.state === 'absent') return desired.order;
  const isSwitch = open.name === 'stop-instance' || open.name === 'start-instance';
  return isSwitch && SAGA_OF_ORDER[desired.order.kind] !== open.name ? desired.order : null;
}

/** Orders that this agent will never carry out go back at once. */
function planReturns(situation: Situation): Step[] {
  const { view, desired } = situation;
  return view.orders.flatMap((order) => {
    const refusal = refusalOf(view, desired, order);
    if (refusal === null || order.returned !== null) return [];
    const { orderId, epoch } = order;
    return [
      step(situation, 'returnOrder', {
        order: { orderId, epoch },
        ...refusal,
        nothingMade: hasMadeNothing(view, null),
      }),
    ];
  });
}

function refusalOf(
  view: ContractView,
  desired: Desired,
  order: JournalOrder,
): Pick<StepArguments['returnOrder'], 'code' | 'detail'> | null {
  if (order === changeOrderOf(view) && desired.state !== 'absent') {
    const { instance } = view;
    if (instance?.handle == null)
      return { code: 'refused', detail: 'This agent holds no instance for the contract.' };
    if (instance.phase !== 'running' || instance.ssh === null)
      return { code: 'refused', detail: 'The instance is off: nothing can be changed in it.' };
  }
  if (desired.state === 'none' || isAnswered(view, order)) return null;
  if (desired.state === 'absent' && order.kind !== 'destroy' && order.epoch > desired.order.epoch) {
    return {
      code: 'refused',
      detail: 'The contract has ended: its tombstone was received before this order.',
    };
  }
  const isSwitch = order.kind === 'stop' || order.kind === 'start';
  if (isSwitch && order === desired.order && view.instance?.handle == null) {
    return { code: 'refused', detail: 'This agent holds no instance for the contract.' };
  }
  return null;
}

function planAbsent(situation: Situation, { order, isAnswered: answered }: Wanted): Step[] {
  const { view } = situation;
  // Something that carries the contract's seal turned up later: the tombstone stands for it too.
  if (answered && !isSeenSince(situation, lastFinishedAt(view))) return [];
  return [startSaga(situation, 'release-instance', order, releaseInput(order, view))];
}

/** The order is answered: only what the backend says can be out of place. */
function planSettled(situation: Situation): Step[] {
  const { view, observed } = situation;
  const since = lastFinishedAt(view);
  if (view.instance === null) {
    const leftover = isSeenSince(situation, since) ? findUndone(situation) : null;
    return leftover === null ? [] : [startLeftover(situation, leftover)];
  }
  const isMissing = observed.existence.existence === 'absent' && observed.at > since;
  return isMissing ? [wait(situation, 'instance_missing', { since: observed.at, until: null })] : [];
}

function planBegin(situation: Situation, order: JournalOrder): Step {
  const { view, now } = situation;
  if (!isLeaseHeld(view.lease, now)) return waitForLease(situation, order.receivedAt);
  if (!situation.slotFree)
    return wait(situation, 'waiting_for_slot', { since: order.receivedAt, until: null });
  if (order.kind === 'provision')
    return startSaga(situation, 'provision-instance', order, provisionInput(order));
  if (order.kind === 'reset_password')
    return startSaga(situation, 'reset-password', order, resetPasswordInput(order, view));
  if (order.kind === 'rotate_ssh_key')
    return startSaga(situation, 'rotate-ssh-key', order, rotateSshKeyInput(order, view));
  const saga = order.kind === 'stop' ? 'stop-instance' : 'start-instance';
  const handle = view.instance?.handle;
  if (handle == null)
    throw new Error(`order ${order.orderId} should have been handed back: there is no instance`);
  return startSaga(situation, saga, order, { handle, ssh: view.instance?.ssh ?? null });
}

/** The saga that made what is seen at the backend and was undone before that turned up. */
function findUndone({ view, observed }: Situation): { saga: SagaView; token: string } | null {
  if (observed.existence.existence !== 'present') return null;
  const { token } = observed.existence.instance;
  for (const saga of view.sagas) {
    if (saga.name !== 'provision-instance' || saga.finished?.outcome === 'reported') continue;
    const names = recordedOutputs(foldSaga(saga.events))['names'] as { token?: string } | undefined;
    if (token !== null && names?.token === token) return { saga, token };
  }
  return null;
}

function startLeftover(situation: Situation, { saga, token }: { saga: SagaView; token: string }): Step {
  return step(situation, 'startSaga', { saga: 'remove-leftover', orderId: saga.orderId, input: { token } });
}

function startSaga<Name extends SagaName>(
  situation: Situation,
  saga: Name,
  { orderId }: JournalOrder,
  input: SagaInputs[Name],
): Step {
  return step(situation, 'startSaga', { saga, orderId, input });
}

function isSeenSince({ observed }: Situation, since: number): boolean {
  return observed.existence.existence === 'present' && observed.at > since;
}

function lastFinishedAt(view: ContractView): number {
  return Math.max(0, ...view.sagas.map((saga) => saga.finished?.at ?? 0));
}

function waitForLease(situation: Situation, otherwise: number): Step {
  const { lease } = situation.view;
  return wait(situation, 'lease_lost', {
    since: lease === null ? otherwise : leaseStopsAt(lease),
    until: null,
  });
}

function wait(
  situation: Situation,
  reason: StepArguments['wait']['reason'],
  times: Omit<StepArguments['wait'], 'reason'>,
): Step {
  return step(situation, 'wait', { reason, ...times });
}

function step<Name extends StepName>({ view }: Situation, name: Name, args: StepArguments[Name]): Step {
  return { name, contractId: view.contractId, ...args } as Step;
}
