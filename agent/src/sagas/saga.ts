/**
 * What a saga is: named steps in order, each with its undo, and the report that ends it. A saga is data; the
 * engine (`run-saga.ts`) runs it over the journal.
 *
 * INVARIANTS:
 * - A step may run more than once: its outside call finds what an earlier run made, by token or seal.
 * - Steps share state only through recorded outputs. What a step needs to be found again (names, tokens) is
 *   chosen in an earlier step.
 * - An undo may run more than once, for a step that ended, failed, or is only known to have started.
 * - Nothing is undone once the report is committed (I7): from then on only a tombstone destroys.
 */
import type { Clock } from '@dc/shared/clock';
import type { ErrorCode } from '@dc/shared/errors';
import type { RecordKind } from '@dc/shared/evidence/record';
import type { Random } from '@dc/shared/random';
import type { Failure } from '../journal/saga-event.ts';
import type { JournalInstance, ReturnCode } from '../journal/journal.ts';

/** The part of a logger that sagas use; pino fits. */
export interface SagaLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a choosing step gets. */
export interface ChooseContext<Input, Outputs> {
  readonly sagaId: string;
  readonly contractId: string;
  readonly input: Input;
  /** Outputs of earlier steps, as the journal has them. */
  readonly outputs: Outputs;
  /** 32 random bytes of this saga, the same after a crash and gone with its end. Only where it `keepsSecret`. */
  readonly secret: () => Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
}

/** What a step or an undo gets. */
export interface StepContext<Input, Outputs> extends ChooseContext<Input, Outputs> {
  /** 1 for the first start of this step, also counting starts before a crash. */
  readonly attempt: number;
  /** Aborted at the step's deadline and whenever the saga has to stop. Pass it to every call. */
  readonly signal: AbortSignal;
  readonly log: SagaLog;
  /** Throws LEASE_STALE where the lease is lost or used up. For long steps; the engine asks before each one. */
  assertLeaseHeld(): void;
}

/** How often and how long a step is tried. Judged after a failure: a step always gets one try after a restart. */
export interface RetryPolicy {
  /** Starts in all; Infinity for a step that must work in the end. */
  readonly attempts: number;
  /** Since the first start. */
  readonly totalMs: number;
  /** Backoff before the second try; doubles each time, with jitter. */
  readonly baseMs: number;
  readonly capMs: number;
  /** Deadline of one try. */
  readonly timeoutMs: number;
}

/** How long a stage took: from its first start to its success. */
export interface StageTiming {
  readonly name: string;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** What the report is made from. */
export interface ReportContext<Input, Outputs> {
  readonly contractId: string;
  readonly input: Input;
  readonly outputs: Outputs;
  readonly stages: readonly StageTiming[];
}

/** A result that is reported: what the record says, and what the journal then says of the instance. */
export interface Report {
  readonly kind: RecordKind;
  readonly data: Record<string, unknown>;
  readonly instance?: Pick<JournalInstance, 'phase' | 'handle' | 'ssh'>;
}

type ErasedContext = StepContext<unknown, Readonly<Record<string, unknown>>>;

/** A step without an outside effect; it is committed together with the start of the next one. */
export interface ChooseStep {
  readonly kind: 'choose';
  readonly name: string;
  choose(context: ChooseContext<unknown, Readonly<Record<string, unknown>>>): unknown;
}

/** A step with an outside call. */
export interface RunStep {
  readonly kind: 'run';
  readonly name: string;
  readonly policy: RetryPolicy;
  run(context: ErasedContext): Promise<unknown>;
  undo: ((context: ErasedContext) => Promise<void>) | null;
  /** The ids of the instances that it destroys for good: from one on, the breaker is asked before the first start. */
  destroys: ((outputs: Readonly<Record<string, unknown>>) => readonly string[]) | null;
}

/** A saga as the engine has it. */
export interface SagaDefinition {
  readonly name: string;
  /** Raised when the steps change; an open saga of another version is not touched. */
  readonly version: number;
  /** Whether it stops when the lease is lost. A tombstone stays valid without one. */
  readonly needsLease: boolean;
  /** Whether random bytes are made with it that are forgotten when it ends. */
  readonly keepsSecret: boolean;
  readonly steps: readonly (ChooseStep | RunStep)[];
  /** Null where nobody is to hear of this saga: then it answers no order, and the contract is planned again. */
  report(context: ReportContext<unknown, Readonly<Record<string, unknown>>>): Report | null;
  /** Whether this failure, at the first try of the first call, is a refusal: nothing was made, the order goes back. */
  declines(failure: Failure): ReturnCode | null;
}

interface RunParts<Input, Outputs, Name extends string, Output> {
  readonly policy?: Partial<RetryPolicy>;
  run(context: StepContext<Input, Outputs>): Promise<Output>;
  /** The step's own output is missing where the step was started and its end is not known. */
  undo?(context: StepContext<Input, Outputs & Partial<Record<Name, Output>>>): Promise<void>;
  destroys?(outputs: Outputs): readonly string[];
}

interface SagaHeader {
  readonly name: string;
  readonly version: number;
  readonly needsLease: boolean;
  readonly keepsSecret?: true;
}

/** Ten tries within ten minutes: longer than a backend's restart, shorter than a renter's patience. */
export const BOUNDED: RetryPolicy = {
  attempts: 10,
  totalMs: 600_000,
  baseMs: 250,
  capMs: 30_000,
  timeoutMs: 300_000,
};

/** Tried until it works; five minutes between tries once the first quick ones are used up. */
export const UNTIL_IT_WORKS: RetryPolicy = {
  attempts: Infinity,
  totalMs: Infinity,
  baseMs: 500,
  capMs: 300_000,
  timeoutMs: 300_000,
};

/** From this many failures on a step that is tried until it works is shown as needing a person. */
export const ATTENTION_AFTER_ATTEMPTS = 8;

/** Starts the definition of a saga over `Input`. Outputs and input are stored as JSON. */
export function defineSaga<Input>(header: SagaHeader): SagaBuilder<Input, unknown> {
  return new SagaBuilder(header, []);
}

/** Adds steps one after another, so that each one sees the outputs of those before it with their types. */
export class SagaBuilder<Input, Outputs> {
  readonly #header: SagaHeader;
  readonly #steps: readonly (ChooseStep | RunStep)[];

  constructor(header: SagaHeader, steps: readonly (ChooseStep | RunStep)[]) {
    this.#header = header;
    this.#steps = steps;
  }

  /** A step that only decides something: synchronous, without an outside effect. */
  choose<Name extends string, Output>(
    name: Name,
    choose: (context: ChooseContext<Input, Outputs>) => Output,
  ): SagaBuilder<Input, Outputs & Record<Name, Output>> {
    return this.#with({ kind: 'choose', name, choose: choose as ChooseStep['choose'] });
  }

  /** A step with an outside call. Without a policy it is BOUNDED. */
  run<Name extends string, Output>(
    name: Name,
    parts: RunParts<Input, Outputs, Name, Output>,
  ): SagaBuilder<Input, Outputs & Record<Name, Output>> {
    const run = parts.run.bind(parts) as RunStep['run'];
    const undo = (parts.undo?.bind(parts) ?? null) as RunStep['undo'];
    const destroys = (parts.destroys?.bind(parts) ?? null) as RunStep['destroys'];
    return this.#with({ kind: 'run', name, policy: { ...BOUNDED, ...parts.policy }, run, undo, destroys });
  }

  /** Ends the definition with what is reported, and with the failures that are refusals. */
  report(
    report: (context: ReportContext<Input, Outputs>) => Report | null,
    refusals: Partial<Record<ErrorCode, ReturnCode>> = {},
  ): SagaDefinition {
    return {
      keepsSecret: false,
      ...this.#header,
      steps: this.#steps,
      report: report as SagaDefinition['report'],
      declines: ({ code }) => refusals[code as ErrorCode] ?? null,
    };
  }

  #with<Next>(step: ChooseStep | RunStep): SagaBuilder<Input, Next> {
    if (this.#steps.some((other) => other.name === step.name))
      throw new Error(`two steps are named ${step.name}`);
    return new SagaBuilder(this.#header, [...this.#steps, step]);
  }
}
