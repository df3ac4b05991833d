/**
 * One saga while it is being advanced: its definition, its state, and the events that are not committed yet.
 * Events are gathered and committed in one write just before the next outside call, or when the saga rests.
 */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { Journal, SagaView } from '../journal/journal.ts';
import type { Failure, SagaEvent, SagaOutcome, StepEventName, UnwindReason } from '../journal/saga-event.ts';
import { foldEvent, foldSaga, type SagaState } from './fold-status.ts';
import { nextAction, recordedOutputs, type SagaAction, stageTimings } from './next-action.ts';
import type { ChooseContext, ChooseStep, ReportContext, SagaDefinition } from './saga.ts';

type Outputs = Readonly<Record<string, unknown>>;

export interface SagaRunServices {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
}

export class SagaRun {
  readonly saga: SagaView;
  readonly definition: SagaDefinition;
  readonly #services: SagaRunServices;
  #state: SagaState;
  #pending: SagaEvent[] = [];

  constructor(saga: SagaView, definition: SagaDefinition, services: SagaRunServices) {
    this.saga = saga;
    this.definition = definition;
    this.#services = services;
    this.#state = foldSaga(saga.events);
  }

  /** The state with the events that are not committed yet. */
  get state(): SagaState {
    return this.#state;
  }

  nextAction(): SagaAction {
    return nextAction(this.definition, this.#state);
  }

  /** Decides a choosing step. */
  choose(step: ChooseStep): void {
    this.record(step.name, 'started');
    this.record(step.name, 'succeeded', step.choose(this.chooseContext()));
  }

  /** Adds an event of a step. `data` goes through JSON: the next step sees what it would see after a crash. */
  record(step: string, event: StepEventName, data: unknown = null): void {
    const past = this.#state.steps[step];
    const begins = event === 'started' || event === 'undo_started';
    const starts = (event.startsWith('undo') ? past?.undoAttempts : past?.attempts) ?? 0;
    this.#add({
      sagaId: this.saga.sagaId,
      step,
      event,
      attempt: begins ? starts + 1 : starts,
      at: this.now(),
      data: JSON.parse(JSON.stringify(data ?? null)) as unknown,
    });
  }

  /** Turns the saga round. */
  unwind(reason: { why: 'cancelled'; orderId: string } | { why: 'failed'; failure: Failure }): void {
    const data: UnwindReason =
      reason.why === 'cancelled' ? reason : { why: 'failed', failure: plain(reason.failure) };
    this.#add({ sagaId: this.saga.sagaId, step: null, event: 'unwinding', attempt: 0, at: this.now(), data });
  }

  /** Commits what is pending; joins a `write` that is under way. */
  flush(label: string): void {
    if (this.#pending.length === 0) return;
    this.#services.journal.write(`${this.saga.name}.${label}`, (writer) =>
      writer.appendEvents(this.#pending),
    );
    this.#pending = [];
  }

  /** Ends the saga, in one commit with what is pending. */
  finish(finished: { outcome: SagaOutcome; epoch: number | null }): void {
    const { sagaId, name } = this.saga;
    this.#services.journal.write(`${name}.${finished.outcome}`, (writer) => {
      this.flush(finished.outcome);
      writer.finishSaga(sagaId, { ...finished, at: this.now() });
    });
  }

  chooseContext(): ChooseContext<unknown, Outputs> {
    const { sagaId, contractId, input } = this.saga;
    const { journal, clock, random } = this.#services;
    const secret = (): Uint8Array => {
      const bytes = journal.sagaSecret(sagaId);
      if (bytes === null) throw new Error(`saga ${sagaId} keeps no secret`);
      return bytes;
    };
    return { sagaId, contractId, input, outputs: recordedOutputs(this.#state), secret, clock, random };
  }

  reportContext(): ReportContext<unknown, Outputs> {
    const { contractId, input } = this.saga;
    const stages = stageTimings(this.definition, this.#state);
    return { contractId, input, outputs: recordedOutputs(this.#state), stages };
  }

  /** The journal keeps whole milliseconds. */
  now(): number {
    return Math.round(this.#services.clock.now());
  }

  #add(event: SagaEvent): void {
    this.#state = foldEvent(this.#state, event);
    this.#pending.push(event);
  }
}

const plain = ({ code, detail, remedy }: Failure): Failure => ({ code, detail, remedy });
