/**
 * What the journal keeps about a saga: one row when it is made, then events that are only ever added. Every
 * state that a saga can be in is a fold over its events (`sagas/fold-status.ts`); nothing else is stored.
 */

/** What can happen to a step. `started` and `undo_started` are committed before the outside call is made. */
export const STEP_EVENTS = [
  'started',
  'succeeded',
  'failed',
  'undo_started',
  'undo_finished',
  'undo_failed',
] as const;
export type StepEventName = (typeof STEP_EVENTS)[number];

/** What can happen to a saga as a whole. */
export const SAGA_EVENTS = ['created', 'unwinding', 'finished'] as const;
export type SagaEventName = (typeof SAGA_EVENTS)[number];

/** Why something failed, as it is kept and shown. `detail` is an AppError's message: no secret, no vendor text. */
export interface Failure {
  readonly code: string;
  readonly detail: string;
  readonly remedy: string;
}

/** Data of `failed` and `undo_failed`. */
export interface FailedAttempt extends Failure {
  /** When the next attempt is due, in milliseconds since the epoch; null where there will be none. */
  readonly retryAt: number | null;
}

/** Why a saga is being undone. Data of `unwinding`. */
export type UnwindReason =
  | { readonly why: 'failed'; readonly failure: Failure }
  | { readonly why: 'cancelled'; readonly orderId: string };

/**
 * How a saga ended. `reported`: with its result. `failed`: its failure was reported. `declined`: nothing was made
 * and the order was handed back. `cancelled`: undone because of an order against it; nothing was reported.
 */
export type SagaOutcome = 'reported' | 'failed' | 'declined' | 'cancelled';

interface EventBase {
  readonly sagaId: string;
  /** Milliseconds since the epoch, on our clock. */
  readonly at: number;
}

/** Something that happened to one step. */
export interface StepEvent extends EventBase {
  readonly step: string;
  readonly event: StepEventName;
  /** Counts the starts (or the undo starts) of this step from 1. */
  readonly attempt: number;
  /** The output of `succeeded`, a FailedAttempt for the failures, null otherwise. JSON. */
  readonly data: unknown;
}

/** Something that happened to the whole saga. */
export interface WholeSagaEvent extends EventBase {
  readonly step: null;
  readonly event: SagaEventName;
  readonly attempt: 0;
  /** An UnwindReason for `unwinding`, `{outcome}` for `finished`. */
  readonly data: unknown;
}

export type SagaEvent = StepEvent | WholeSagaEvent;
