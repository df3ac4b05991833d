/**
 * PURE: where a saga stands, folded from its events. There is one table of what may follow what; an event that
 * it does not allow is a bug (or a journal that somebody wrote into) and throws.
 */
import { nextState, type TransitionTable } from '@dc/shared/state/state-machine';
import type {
  FailedAttempt,
  SagaEvent,
  SagaEventName,
  StepEvent,
  StepEventName,
  UnwindReason,
} from '../journal/saga-event.ts';

/** `started` and `undoing` say only that it began: after a crash nobody knows how far it got. */
export type StepStatus =
  'waiting' | 'started' | 'succeeded' | 'failed' | 'undoing' | 'undo_failed' | 'undone';

export const STEP_TABLE: TransitionTable<StepStatus, StepEventName> = {
  waiting: { started: 'started' },
  // Started again: taken up after a crash or a stop. Undone: the saga was cancelled with the end unknown.
  started: { started: 'started', succeeded: 'succeeded', failed: 'failed', undo_started: 'undoing' },
  succeeded: { undo_started: 'undoing' },
  // A failed call may have made something all the same, so that a failed step is undone as well.
  failed: { started: 'started', undo_started: 'undoing' },
  undoing: { undo_started: 'undoing', undo_finished: 'undone', undo_failed: 'undo_failed' },
  undo_failed: { undo_started: 'undoing' },
  undone: {},
};

export type SagaStatus = 'none' | 'open' | 'unwinding' | 'finished';

export const SAGA_TABLE: TransitionTable<SagaStatus, SagaEventName> = {
  none: { created: 'open' },
  open: { unwinding: 'unwinding', finished: 'finished' },
  unwinding: { finished: 'finished' },
  finished: {},
};

/** What may happen to a step depends on the saga: nothing is undone before it unwinds, nothing begun after. */
const STEP_EVENTS_ALLOWED: Readonly<Record<SagaStatus, readonly StepEventName[]>> = {
  none: [],
  open: ['started', 'succeeded', 'failed'],
  unwinding: ['undo_started', 'undo_finished', 'undo_failed'],
  finished: [],
};

/** One step's state. */
export interface StepState {
  readonly status: StepStatus;
  /** Starts so far, in every life of the process. */
  readonly attempts: number;
  readonly undoAttempts: number;
  readonly firstStartedAt: number;
  readonly endedAt: number | null;
  readonly output: unknown;
  /** The latest failure, of the step or of its undo. */
  readonly failure: FailedAttempt | null;
}

/** A saga's state. */
export interface SagaState {
  readonly status: SagaStatus;
  readonly unwind: UnwindReason | null;
  readonly steps: Readonly<Record<string, StepState>>;
}

/** The status of a step after `event`. Throws where the table does not allow it. */
export function nextStepStatus(status: StepStatus, event: StepEventName): StepStatus {
  const next = nextState(STEP_TABLE, status, event);
  if (next === null) throw new Error(`a step that is ${status} cannot have ${event}`);
  return next;
}

/** The status of a saga after `event`. Throws where the table does not allow it. */
export function nextSagaStatus(status: SagaStatus, event: SagaEventName): SagaStatus {
  const next = nextState(SAGA_TABLE, status, event);
  if (next === null) throw new Error(`a saga that is ${status} cannot have ${event}`);
  return next;
}

/** Folds all events of one saga, oldest first. */
export function foldSaga(events: readonly SagaEvent[]): SagaState {
  return events.reduce(foldEvent, { status: 'none', unwind: null, steps: {} });
}

/** The state after one more event. */
export function foldEvent(state: SagaState, event: SagaEvent): SagaState {
  if (event.step === null) {
    const status = nextSagaStatus(state.status, event.event);
    return {
      ...state,
      status,
      unwind: event.event === 'unwinding' ? (event.data as UnwindReason) : state.unwind,
    };
  }
  if (!STEP_EVENTS_ALLOWED[state.status].includes(event.event)) {
    throw new Error(`a saga that is ${state.status} cannot have ${event.event} of ${event.step}`);
  }
  const before = state.steps[event.step] ?? newStep(event);
  return { ...state, steps: { ...state.steps, [event.step]: foldStep(before, event) } };
}

function newStep(event: StepEvent): StepState {
  return {
    status: 'waiting',
    attempts: 0,
    undoAttempts: 0,
    firstStartedAt: event.at,
    endedAt: null,
    output: undefined,
    failure: null,
  };
}

function foldStep(before: StepState, event: StepEvent): StepState {
  const step = { ...before, status: nextStepStatus(before.status, event.event) };
  switch (event.event) {
    case 'started':
      return { ...step, attempts: step.attempts + 1 };
    case 'succeeded':
      return { ...step, output: event.data, endedAt: event.at, failure: null };
    case 'undo_started':
      return { ...step, undoAttempts: step.undoAttempts + 1 };
    case 'failed':
    case 'undo_failed':
      return { ...step, failure: event.data as FailedAttempt };
    case 'undo_finished':
      return { ...step, failure: null };
  }
}
