/**
 * What the planner can ask for: one map from the name of a step to its arguments. The union and the executor table
 * (`execute-step.ts`) follow from it, so that a step without an executor does not compile.
 */
import type { OrderName, ReturnCode } from '../journal/journal.ts';
import type { SagaInputs, SagaName } from '../sagas/saga-inputs.ts';
import type { BlockingReason } from './blocking-reasons.ts';

/** The arguments of every step. All are about one contract. */
export interface StepArguments {
  /** Make a saga for this order. */
  startSaga: { readonly saga: SagaName; readonly orderId: string; readonly input: SagaInputs[SagaName] };
  /** Let an open saga go on, or see to it that it does. `until`: when its lease has to be looked at again. */
  resumeSaga: { readonly sagaId: string; readonly until: number | null };
  /** Turn an open saga round, because of this order. */
  cancelSaga: { readonly sagaId: string; readonly orderId: string };
  /** Hand an order back to the coordinator. */
  returnOrder: {
    readonly order: OrderName;
    readonly code: ReturnCode;
    readonly detail: string;
    readonly nothingMade: boolean;
  };
  /** Nothing can be done now. `until` is when to look again; null where only an event can change it. */
  wait: { readonly reason: BlockingReason; readonly since: number; readonly until: number | null };
}

export type StepName = keyof StepArguments;

/** One step. */
export type Step = {
  [Name in StepName]: { readonly name: Name; readonly contractId: string } & StepArguments[Name];
}[StepName];
