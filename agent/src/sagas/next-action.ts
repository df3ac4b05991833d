/** PURE: what a saga does next, from its definition and the fold of its events. */
import type { Failure } from '../journal/saga-event.ts';
import type { SagaState } from './fold-status.ts';
import type { ChooseStep, RunStep, SagaDefinition, StageTiming } from './saga.ts';

/** One thing to do. `notBefore` is the stored time of the next attempt; 0 for at once. */
export type SagaAction =
  | { readonly do: 'choose'; readonly step: ChooseStep }
  | { readonly do: 'run'; readonly step: RunStep; readonly notBefore: number }
  | { readonly do: 'unwind'; readonly failure: Failure }
  | { readonly do: 'undo'; readonly step: RunStep; readonly notBefore: number }
  | { readonly do: 'report' }
  | { readonly do: 'report_failure'; readonly failure: Failure }
  | { readonly do: 'end_cancelled' }
  | { readonly do: 'nothing' };

/** The next action. */
export function nextAction(definition: SagaDefinition, state: SagaState): SagaAction {
  if (state.status === 'finished' || state.status === 'none') return { do: 'nothing' };
  return state.unwind === null ? nextForward(definition, state) : nextBackward(definition, state);
}

function nextForward(definition: SagaDefinition, state: SagaState): SagaAction {
  const step = definition.steps.find(({ name }) => state.steps[name]?.status !== 'succeeded');
  if (step === undefined) return { do: 'report' };
  if (step.kind === 'choose') return { do: 'choose', step };
  const failure = state.steps[step.name]?.failure ?? null;
  if (failure !== null && failure.retryAt === null) return { do: 'unwind', failure };
  return { do: 'run', step, notBefore: failure?.retryAt ?? 0 };
}

function nextBackward(definition: SagaDefinition, state: SagaState): SagaAction {
  for (const step of definition.steps.toReversed()) {
    const past = state.steps[step.name];
    if (step.kind === 'choose' || step.undo === null || past === undefined || past.status === 'undone')
      continue;
    // A failure of the step itself does not hold up its undo; one of the undo does.
    return { do: 'undo', step, notBefore: past.status === 'undo_failed' ? (past.failure?.retryAt ?? 0) : 0 };
  }
  if (state.unwind?.why === 'failed') return { do: 'report_failure', failure: state.unwind.failure };
  return { do: 'end_cancelled' };
}

/** No backoff is longer than this. A time further away was written before the clock was set back, and means nothing. */
const WAIT_MS_MAX = 3_600_000;

/** Whether the next attempt has still to wait for its stored time. */
export function mustWait(notBefore: number, now: number): boolean {
  return notBefore > now && notBefore - now <= WAIT_MS_MAX;
}

/** How long each step that has succeeded took. */
export function stageTimings(definition: SagaDefinition, state: SagaState): StageTiming[] {
  return definition.steps.flatMap(({ kind, name }) => {
    const step = state.steps[name];
    if (kind === 'choose' || step === undefined || step.endedAt === null) return [];
    return [{ name, startedAt: step.firstStartedAt, endedAt: step.endedAt }];
  });
}

/** The outputs that steps have recorded so far. */
export function recordedOutputs(state: SagaState): Record<string, unknown> {
  const done = Object.entries(state.steps).filter(([, step]) => step.endedAt !== null);
  return Object.fromEntries(done.map(([name, step]) => [name, step.output]));
}
