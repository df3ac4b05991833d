/**
 * Runs sagas over the journal: `started` is committed before the outside call, `succeeded` after it, together
 * with the start of what comes next. After a crash the journal is folded and a step without an end runs again.
 *
 * INVARIANTS:
 * - No outside call without its committed start; no two calls of one saga at once.
 * - The report (record, instance, end of the saga) is one commit; nothing is undone after it (I7).
 * - The engine never sleeps: it rests until a time that is in the journal, and the runner wakes it.
 */
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { signRecord } from '@dc/shared/evidence/record';
import { newUuid } from '@dc/shared/ids';
import type { AskedRelease, ContractView, SagaView } from '../journal/journal.ts';
import type { Failure, SagaOutcome } from '../journal/saga-event.ts';
import { attempt, type Attempt } from './attempt.ts';
import { isLeaseHeld } from './lease.ts';
import { mustWait, type SagaAction } from './next-action.ts';
import { hasMadeNothing, ordersOf, reportEpoch } from './order-answer.ts';
import { planRetry } from './retry.ts';
import { SagaRun, type SagaRunServices } from './saga-run.ts';
import type { Report, RunStep, SagaDefinition, SagaLog, StepContext } from './saga.ts';
import { ATTENTION_AFTER_ATTEMPTS, UNTIL_IT_WORKS } from './saga.ts';

/** What the engine works with. */
export interface SagaServices extends SagaRunServices {
  readonly log: SagaLog;
  /**
   * The breaker of I7, asked before a destruction begins. It keeps its answer in the journal, so that it is the same
   * after a crash; false until the operator confirms.
   */
  readonly mayDestroy: (release: Pick<AskedRelease, 'sagaId' | 'contractId' | 'instanceIds'>) => boolean;
  /** Signs the records; its public key names the chain. */
  readonly agentKey: SigningKey;
  readonly environment: string;
  /** Called when something to deliver was committed, so that it goes out at once. */
  readonly onOutbox: () => void;
}

/** Why a saga is not going on. */
export type Rest =
  | { readonly rest: 'finished'; readonly outcome: SagaOutcome }
  /** The next attempt is due at this time. */
  | { readonly rest: 'retry'; readonly at: number }
  /** It was told to stop, the lease is not held, or the breaker holds it back: it stays open. */
  | { readonly rest: 'stopped' };

/** An action with an outside call. */
type CallAction = SagaAction & { do: 'run' | 'undo' };

/** Runs sagas of the given definitions. */
export class SagaEngine {
  readonly #services: SagaServices;
  readonly #definitions: ReadonlyMap<string, SagaDefinition>;
  /** Sagas whose first call `begin` has recorded as started and nobody has made yet. */
  readonly #begun = new Set<string>();

  constructor(services: SagaServices, definitions: readonly SagaDefinition[]) {
    this.#services = services;
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]));
  }

  /** The definition that a saga runs by; null where this program does not know it in that version. */
  definitionOf(saga: Pick<SagaView, 'name' | 'version'>): SagaDefinition | null {
    const definition = this.#definitions.get(saga.name);
    return definition?.version === saga.version ? definition : null;
  }

  /** Whether sagas of this name work under a lease. */
  needsLease(name: string): boolean {
    return this.#definitions.get(name)?.needsLease ?? false;
  }

  /**
   * Makes a saga and starts it up to its first outside call, which `advance` makes. Joins the caller's `write`,
   * so that an order and the start of its work are one commit.
   */
  begin(name: string, start: { contractId: string; orderId: string; input: unknown }): string {
    const { journal, clock, random } = this.#services;
    const definition = this.#definitions.get(name);
    if (definition === undefined) throw new Error(`there is no saga ${name}`);
    const sagaId = newUuid(clock, random);
    journal.write(`${name}.begin`, (writer) => {
      const createdAt = Math.round(clock.now());
      writer.createSaga({ sagaId, ...start, name, version: definition.version, createdAt });
      if (definition.keepsSecret) writer.saveSagaSecret(sagaId, random.bytes(32));
      const run = this.#load(sagaId);
      let action = run.nextAction();
      for (; action.do === 'choose'; action = run.nextAction()) run.choose(action.step);
      if (action.do === 'run') run.record(action.step.name, 'started');
      run.flush('begin');
    });
    this.#begun.add(sagaId);
    return sagaId;
  }

  /** Turns an open saga round because of an order against it; `advance` then undoes what it made. Idempotent. */
  cancel(sagaId: string, orderId: string): void {
    const run = this.#load(sagaId);
    if (run.state.status !== 'open') return;
    this.#begun.delete(sagaId);
    run.unwind({ why: 'cancelled', orderId });
    run.flush('cancel');
  }

  /**
   * Runs a saga until it rests. Stops when `signal` is aborted, inside a step too, and waits for that step to
   * end. Rejects only where the journal cannot be written or a bug shows; then nothing more was done.
   */
  async advance(sagaId: string, signal: AbortSignal): Promise<Rest> {
    const run = this.#load(sagaId);
    for (;;) {
      const action = run.nextAction();
      if (this.#mustStop(run, action, signal)) return this.#restAt(run, { rest: 'stopped' });
      switch (action.do) {
        case 'choose':
          run.choose(action.step);
          break;
        case 'unwind':
          run.unwind({ why: 'failed', failure: action.failure });
          break;
        case 'run':
        case 'undo': {
          const rest = await this.#try(run, action, signal);
          if (rest !== null) return this.#restAt(run, rest);
          break;
        }
        case 'report': {
          const report = run.definition.report(run.reportContext());
          if (report !== null) return this.#report(run, 'reported', report);
          run.finish({ outcome: 'reported', epoch: null });
          return { rest: 'finished', outcome: 'reported' };
        }
        case 'report_failure':
          return this.#endFailed(run, action.failure);
        case 'end_cancelled':
          run.finish({ outcome: 'cancelled', epoch: null });
          return { rest: 'finished', outcome: 'cancelled' };
        case 'nothing':
          if (run.saga.finished === null)
            throw new Error(`saga ${sagaId} has nothing to do and is not finished`);
          return { rest: 'finished', outcome: run.saga.finished.outcome };
      }
    }
  }

  /** Ends the saga with its result: the record and what was pending in one commit. */
  #report(run: SagaRun, outcome: 'reported' | 'failed', report: Report): Rest {
    const { journal, agentKey, environment } = this.#services;
    const { contractId, name } = run.saga;
    const { kind, data } = report;
    const now = run.now();
    journal.write(`${name}.${kind}`, (writer) => {
      const epoch = reportEpoch(this.#view(contractId), run.saga);
      const at = new Date(now).toISOString();
      writer.appendRecord({ agentKey: agentKey.publicKey, contractId, kind, epoch, at: now }, (place) =>
        signRecord({ ...place, at, environment, kind, contract_id: contractId, epoch, data }, agentKey),
      );
      if (report.instance !== undefined)
        writer.saveInstance({ contractId, ...report.instance, changedAt: now });
      run.finish({ outcome, epoch });
    });
    this.#services.onOutbox();
    return { rest: 'finished', outcome };
  }

  /** Ends a saga that failed and is undone: with its report, or by handing the order back where it was refused. */
  #endFailed(run: SagaRun, failure: Failure): Rest {
    const code = this.#wasRefused(run) ? run.definition.declines(failure) : null;
    const orders = ordersOf(this.#view(run.saga.contractId), run.saga);
    // Which order has failed: a new password that could not be set is no failed delivery.
    const data = { ...failure, order_kind: orders[0]?.kind ?? null };
    if (code === null) return this.#report(run, 'failed', { kind: 'failed', data });
    const { journal } = this.#services;
    journal.write(`${run.saga.name}.declined`, (writer) => {
      const reason = { code, detail: failure.detail, nothingMade: true, at: run.now() };
      for (const order of orders) writer.returnOrder(order, reason);
      run.finish({ outcome: 'declined', epoch: null });
    });
    this.#services.onOutbox();
    return { rest: 'finished', outcome: 'declined' };
  }

  /** Whether only the first call was made, once, for the first time for this contract. */
  #wasRefused(run: SagaRun): boolean {
    const calls = run.definition.steps.flatMap((step) =>
      step.kind === 'run' ? [run.state.steps[step.name]] : [],
    );
    const attempts = calls.reduce((sum, step) => sum + (step?.attempts ?? 0), 0);
    return attempts === 1 && hasMadeNothing(this.#view(run.saga.contractId), run.saga.sagaId);
  }

  #view(contractId: string): ContractView {
    const view = this.#services.journal.contract(contractId);
    if (view === null) throw new Error(`contract ${contractId} has a saga and no order`);
    return view;
  }

  /** Work that still goes forward stops without its lease; an undo does not: it is our debt in any case. */
  #mustStop(run: SagaRun, action: SagaAction, signal: AbortSignal): boolean {
    if (signal.aborted) return true;
    const goesForward = action.do === 'choose' || action.do === 'run' || action.do === 'report';
    return goesForward && !this.#isLeaseHeld(run);
  }

  #isLeaseHeld(run: SagaRun): boolean {
    const { journal, clock } = this.#services;
    return !run.definition.needsLease || isLeaseHeld(journal.lease(run.saga.contractId), clock.now());
  }

  /** One try of a step or of its undo. Null where the saga goes on. */
  async #try(run: SagaRun, action: CallAction, signal: AbortSignal): Promise<Rest | null> {
    const { clock } = this.#services;
    const { step } = action;
    if (mustWait(action.notBefore, clock.now())) return { rest: 'retry', at: action.notBefore };
    const isUndo = action.do === 'undo';
    const before = run.state.steps[step.name];
    const isBegun = this.#begun.delete(run.saga.sagaId);
    if (!isUndo && !isBegun && before !== undefined && before.attempts >= step.policy.attempts) {
      // Started that often without an end: it takes the process down with it.
      run.unwind({ why: 'failed', failure: before.failure ?? neverEnded(step, before.attempts) });
      return null;
    }
    const begins = isUndo ? 'undo_started' : 'started';
    if (!isUndo && before === undefined && !this.#mayStart(run, step)) return { rest: 'stopped' };
    if (!isBegun) run.record(step.name, begins);
    run.flush(`${step.name}.${begins}`);
    const call = async (stop: AbortSignal): Promise<unknown> => {
      const context = this.#context(run, step, stop);
      return isUndo ? step.undo?.(context) : step.run(context);
    };
    const result = await attempt(call, {
      clock,
      timeoutMs: isUndo ? UNTIL_IT_WORKS.timeoutMs : step.policy.timeoutMs,
      signal,
    });
    return this.#recordEnd(run, action, result);
  }

  /** Whether a step that destroys may begin: the breaker's answer is kept before anything is done. */
  #mayStart(run: SagaRun, step: RunStep): boolean {
    const { sagaId, contractId, name } = run.saga;
    const instanceIds = step.destroys?.(run.chooseContext().outputs) ?? [];
    if (instanceIds.length === 0) return true;
    return this.#services.journal.write(`${name}.${step.name}.asked`, () => {
      run.flush(`${step.name}.asked`);
      return this.#services.mayDestroy({ sagaId, contractId, instanceIds });
    });
  }

  #recordEnd(run: SagaRun, action: CallAction, result: Attempt<unknown>): Rest | null {
    const { step } = action;
    const isUndo = action.do === 'undo';
    if (result.ended === 'stopped') return { rest: 'stopped' };
    if (result.ended === 'succeeded') {
      if (isUndo) run.record(step.name, 'undo_finished');
      else run.record(step.name, 'succeeded', result.value);
      return null;
    }
    const past = run.state.steps[step.name];
    const attempts = (isUndo ? past?.undoAttempts : past?.attempts) ?? 1;
    const policy = isUndo ? UNTIL_IT_WORKS : step.policy;
    const tries = { attempts, firstStartedAt: past?.firstStartedAt ?? run.now() };
    const failure = planRetry(result.error, policy, tries, {
      now: run.now(),
      random: this.#services.random,
    });
    run.record(step.name, isUndo ? 'undo_failed' : 'failed', failure);
    this.#services.log.warn(
      {
        saga_id: run.saga.sagaId,
        contract_id: run.saga.contractId,
        step: step.name,
        undo: isUndo,
        attempts,
        ...failure,
        needs_attention: attempts >= ATTENTION_AFTER_ATTEMPTS && policy.attempts === Infinity,
        err: result.error,
      },
      'saga.step.failed',
    );
    if (failure.retryAt !== null) return { rest: 'retry', at: failure.retryAt };
    run.unwind({ why: 'failed', failure });
    return null;
  }

  #context(
    run: SagaRun,
    step: RunStep,
    signal: AbortSignal,
  ): StepContext<unknown, Readonly<Record<string, unknown>>> {
    return {
      ...run.chooseContext(),
      attempt: run.state.steps[step.name]?.attempts ?? 1,
      signal,
      log: this.#services.log,
      assertLeaseHeld: () => {
        if (!this.#isLeaseHeld(run)) throw new AppError('LEASE_STALE');
      },
    };
  }

  #load(sagaId: string): SagaRun {
    const saga = this.#services.journal.saga(sagaId);
    if (saga === null) throw new Error(`there is no saga ${sagaId}`);
    const definition = this.definitionOf(saga);
    if (definition === null)
      throw new Error(`saga ${saga.name} version ${String(saga.version)} is not known`);
    return new SagaRun(saga, definition, this.#services);
  }

  #restAt(run: SagaRun, rest: Rest): Rest {
    run.flush(rest.rest);
    return rest;
  }
}

function neverEnded(step: RunStep, attempts: number): Failure {
  const detail = `The step ${step.name} was begun ${String(attempts)} times and never ended.`;
  const { code, remedy } = new AppError('SAGA_ABORTED');
  return { code, detail, remedy };
}
