/** Carries out the planner's steps: one executor a name, and the compiler sees that none is missing. */
import type { Clock } from '@dc/shared/clock';
import type { Journal } from '../journal/journal.ts';
import type { SagaEngine } from '../sagas/run-saga.ts';
import type { Step, StepArguments, StepName } from './step.ts';

/** What executors work with. */
export interface StepServices {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly engine: SagaEngine;
  /** Called when something to deliver was committed. */
  readonly onOutbox: () => void;
  /** Lets the saga run in the background, until it rests. */
  readonly runSaga: (contractId: string, sagaId: string) => void;
  /** Plans the contract again at `at`, or when a slot is free. */
  readonly wakeAt: (contractId: string, at: number) => void;
  readonly wakeOnSlot: (contractId: string) => void;
}

/** Whether there is more to plan now, or something will call when there is. */
export type Executed = 'plan_again' | 'rest';

type Executor<Name extends StepName> = (
  services: StepServices,
  args: { readonly contractId: string } & StepArguments[Name],
) => Executed;

const EXECUTORS: { readonly [Name in StepName]: Executor<Name> } = {
  startSaga({ engine }, { contractId, saga, orderId, input }) {
    engine.begin(saga, { contractId, orderId, input });
    return 'plan_again';
  },
  resumeSaga({ runSaga, wakeAt }, { contractId, sagaId, until }) {
    runSaga(contractId, sagaId);
    if (until !== null) wakeAt(contractId, until);
    return 'rest';
  },
  cancelSaga({ engine }, { sagaId, orderId }) {
    engine.cancel(sagaId, orderId);
    return 'plan_again';
  },
  returnOrder({ journal, clock, onOutbox }, { order, code, detail, nothingMade }) {
    const at = Math.round(clock.now());
    journal.write('order.returned', (writer) => writer.returnOrder(order, { code, detail, nothingMade, at }));
    onOutbox();
    return 'plan_again';
  },
  wait({ wakeAt, wakeOnSlot }, { contractId, reason, until }) {
    if (until !== null) wakeAt(contractId, until);
    if (reason === 'waiting_for_slot') wakeOnSlot(contractId);
    return 'rest';
  },
};

/** Carries out one step. What takes time goes on in the background. */
export function executeStep(services: StepServices, step: Step): Executed {
  // The table pairs each name with its own arguments; TypeScript cannot follow that through a union.
  const executor = EXECUTORS[step.name] as (services: StepServices, args: Step) => Executed;
  return executor(services, step);
}
