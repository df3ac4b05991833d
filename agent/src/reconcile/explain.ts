/**
 * PURE: why a contract is where it is, for `dc-agent why`: what is wanted, what is there, what comes next, what
 * blocks it since when, and what was tried.
 */
import { toPlainText } from '@dc/shared/wire/schema-parts';
import { EXPLANATION_TEXT_MAX, type WireAttempt, type WireExplanation } from '@dc/shared/wire/explanation';
import type { ContractView } from '../journal/journal.ts';
import type { FailedAttempt, StepEvent } from '../journal/saga-event.ts';
import { BLOCKING_REASONS } from './blocking-reasons.ts';
import type { Desired } from './desired.ts';
import { planSteps, type Situation } from './plan-steps.ts';
import type { Step } from './step.ts';

const ATTEMPTS_SHOWN = 5;

/** Explains one contract. */
export function explain(situation: Situation): WireExplanation {
  const { view, desired } = situation;
  const [step] = planSteps(situation);
  const blocked = step?.name === 'wait' ? step : null;
  const row = blocked === null ? null : BLOCKING_REASONS[blocked.reason];
  return {
    contract_id: view.contractId,
    desired: clip(describeDesired(desired)),
    observed: clip(describeObserved(situation)),
    next_step: clip(describeStep(situation, step)),
    blocked_by:
      blocked === null || row === null ? null : { code: blocked.reason, text: row.text, remedy: row.remedy },
    since: blocked === null ? null : toTime(blocked.since),
    last_attempts: lastAttempts(view),
    command: row?.command ?? null,
  };
}

function describeDesired(desired: Desired): string {
  if (desired.state === 'none') return 'nothing: no order that this agent has kept';
  const { order, isAnswered } = desired;
  return `${desired.state}, by order ${order.orderId} (${order.kind}, epoch ${order.epoch})${isAnswered ? ', done' : ''}`;
}

function describeObserved({ view, observed }: Situation): string {
  const { existence } = observed;
  const journal =
    view.instance === null ? 'the journal has no instance' : `the journal says ${view.instance.phase}`;
  switch (existence.existence) {
    case 'present':
      return `${existence.instance.power} at the backend (${existence.instance.handle.id}); ${journal}`;
    case 'absent':
      return `absent at the backend (${existence.evidence}); ${journal}`;
    case 'unknown':
      return `unknown at the backend (${existence.reason}); ${journal}`;
  }
}

function describeStep({ view }: Situation, step: Step | undefined): string {
  switch (step?.name) {
    case undefined:
      return 'none: everything is as it should be';
    case 'startSaga':
      return `start ${step.saga}`;
    case 'resumeSaga':
      return `go on with ${sagaName(view, step.sagaId)}`;
    case 'cancelSaga':
      return `undo ${sagaName(view, step.sagaId)}, because of order ${step.orderId}`;
    case 'returnOrder':
      return `hand order ${step.order.orderId} back: ${step.detail}`;
    case 'wait':
      return step.until === null ? 'wait' : `wait until ${toTime(step.until)}`;
  }
}

const sagaName = (view: ContractView, sagaId: string): string =>
  view.sagas.find((saga) => saga.sagaId === sagaId)?.name ?? sagaId;

/** The latest tries, oldest first. */
function lastAttempts(view: ContractView): WireAttempt[] {
  const lines = view.sagas.flatMap(({ name, sagaId, events }) => {
    const stepEvents = events.filter((event) => event.step !== null);
    return stepEvents
      .filter(({ event }) => event === 'started' || event === 'undo_started')
      .map((start) => describeAttempt({ name, sagaId }, start, findEnd(stepEvents, start)));
  });
  return lines.slice(-ATTEMPTS_SHOWN);
}

function findEnd(events: readonly StepEvent[], start: StepEvent): StepEvent | undefined {
  const ends = start.event === 'started' ? ['succeeded', 'failed'] : ['undo_finished', 'undo_failed'];
  return events.find(
    ({ step, event, attempt }) => step === start.step && attempt === start.attempt && ends.includes(event),
  );
}

function describeAttempt(
  { name, sagaId }: { name: string; sagaId: string },
  start: StepEvent,
  end: StepEvent | undefined,
): WireAttempt {
  const hasFailed = end?.event === 'failed' || end?.event === 'undo_failed';
  const failure = hasFailed ? (end.data as FailedAttempt) : null;
  return {
    at: toTime(start.at),
    saga: name,
    saga_id: sagaId,
    step: start.step,
    undo: start.event === 'undo_started',
    attempt: start.attempt,
    outcome: end === undefined ? 'unknown' : hasFailed ? 'failed' : 'succeeded',
    code: failure?.code ?? null,
    detail: failure === null ? null : clip(failure.detail),
  };
}

/** What comes from a backend may be long, or hold what no line may. */
const clip = (text: string): string => toPlainText(text, EXPLANATION_TEXT_MAX);

const toTime = (ms: number): string => new Date(ms).toISOString();
