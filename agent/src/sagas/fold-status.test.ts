import { describe, expect, it } from 'vitest';
import { SAGA_EVENTS, type SagaEvent, STEP_EVENTS, type StepEventName } from '../journal/saga-event.ts';
import {
  foldEvent,
  foldSaga,
  nextSagaStatus,
  nextStepStatus,
  SAGA_TABLE,
  type SagaStatus,
  STEP_TABLE,
  type StepStatus,
} from './fold-status.ts';

/** What may follow what, written down a second time: rows are `status event -> status`; all else is illegal. */
const LEGAL_STEPS = [
  'waiting started -> started',
  'started started -> started',
  'started succeeded -> succeeded',
  'started failed -> failed',
  'started undo_started -> undoing',
  'succeeded undo_started -> undoing',
  'failed started -> started',
  'failed undo_started -> undoing',
  'undoing undo_started -> undoing',
  'undoing undo_finished -> undone',
  'undoing undo_failed -> undo_failed',
  'undo_failed undo_started -> undoing',
];
const LEGAL_SAGAS = [
  'none created -> open',
  'open unwinding -> unwinding',
  'open finished -> finished',
  'unwinding finished -> finished',
];

function walk<Status extends string, Event extends string>(
  statuses: readonly Status[],
  events: readonly Event[],
  next: (status: Status, event: Event) => Status,
): { legal: string[]; illegal: number } {
  const legal: string[] = [];
  let illegal = 0;
  for (const status of statuses) {
    for (const event of events) {
      try {
        legal.push(`${status} ${event} -> ${next(status, event)}`);
      } catch {
        illegal += 1;
      }
    }
  }
  return { legal, illegal };
}

const at = 1_000;
const whole = (event: 'created' | 'unwinding' | 'finished', data: unknown = null): SagaEvent => ({
  sagaId: 's',
  step: null,
  event,
  attempt: 0,
  at,
  data,
});
const ofStep = (event: StepEventName, data: unknown = null, time = at): SagaEvent => ({
  sagaId: 's',
  step: 'create',
  event,
  attempt: 1,
  at: time,
  data,
});

describe('The fold of a saga', () => {
  it('allows a step exactly what is listed, over all pairs of status and event', () => {
    const statuses = Object.keys(STEP_TABLE) as StepStatus[];
    const { legal, illegal } = walk(statuses, STEP_EVENTS, nextStepStatus);
    expect(legal.sort()).toEqual([...LEGAL_STEPS].sort());
    expect(illegal).toBe(7 * 6 - LEGAL_STEPS.length);
  });

  it('allows a saga exactly what is listed, over all pairs of status and event', () => {
    const statuses = Object.keys(SAGA_TABLE) as SagaStatus[];
    const { legal, illegal } = walk(statuses, SAGA_EVENTS, nextSagaStatus);
    expect(legal.sort()).toEqual([...LEGAL_SAGAS].sort());
    expect(illegal).toBe(4 * 3 - LEGAL_SAGAS.length);
  });

  it('counts the starts of a step in every life of the process', () => {
    const state = foldSaga([whole('created'), ofStep('started'), ofStep('started'), ofStep('started')]);
    expect(state.steps['create']).toMatchObject({ status: 'started', attempts: 3, undoAttempts: 0 });
  });

  it('keeps the output and the times of a step that succeeded', () => {
    const state = foldSaga([whole('created'), ofStep('started'), ofStep('succeeded', { id: 7 }, at + 30)]);
    expect(state.steps['create']).toMatchObject({ output: { id: 7 }, firstStartedAt: at, endedAt: at + 30 });
  });

  it('forgets a failure when the next try succeeds', () => {
    const failure = { code: 'PROVISIONER_FAILED', detail: '', remedy: '', retryAt: 2_000 };
    const failed = foldSaga([whole('created'), ofStep('started'), ofStep('failed', failure)]);
    expect(failed.steps['create']!.failure).toEqual(failure);
    const better = [ofStep('started'), ofStep('succeeded')].reduce(foldEvent, failed);
    expect(better.steps['create']!.failure).toBeNull();
  });

  it('undoes nothing before the saga is turned round, and begins nothing after', () => {
    const open = foldSaga([whole('created'), ofStep('started')]);
    expect(() => foldEvent(open, ofStep('undo_started'))).toThrow('cannot have undo_started');
    const unwinding = foldEvent(open, whole('unwinding', { why: 'cancelled', orderId: 'o' }));
    expect(unwinding.unwind).toEqual({ why: 'cancelled', orderId: 'o' });
    expect(() => foldEvent(unwinding, ofStep('started'))).toThrow('cannot have started');
    expect(foldEvent(unwinding, ofStep('undo_started')).steps['create']!.status).toBe('undoing');
  });

  it('allows nothing after the end: what was reported is never undone', () => {
    const finished = foldSaga([whole('created'), ofStep('started'), ofStep('succeeded'), whole('finished')]);
    for (const event of STEP_EVENTS) expect(() => foldEvent(finished, ofStep(event))).toThrow();
    expect(() => foldEvent(finished, whole('unwinding'))).toThrow();
  });
});
