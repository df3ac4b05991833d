/** How long each stage of making an instance takes: what a driver tells of its work. */
import type { Clock } from '@dc/shared/clock';

/** One stage that has ended. Times in milliseconds since the epoch. */
export interface MadeStage {
  /** Such as `linked_clone`. */
  readonly name: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** What the backend warned of, in its own words: for the operator, and not for records. */
  readonly warnings?: readonly string[];
}

/** Does a stage, and tells of it if it ends well. */
export type RunStage = <T>(name: string, work: (warn: Warn) => Promise<T>) => Promise<T>;

/** Keeps warnings with the stage. */
export type Warn = (lines: readonly string[]) => void;

/** Times stages for whoever wants to hear of them. */
export function stagesFor(clock: Clock, onStage: (stage: MadeStage) => void): RunStage {
  return async (name, work) => {
    const startedAt = Math.round(clock.now());
    const begun = clock.monotonic();
    const warnings: string[] = [];
    const result = await work((lines) => warnings.push(...lines));
    // The wall clock may be set back in between.
    const endedAt = startedAt + Math.round(clock.monotonic() - begun);
    onStage({ name, startedAt, endedAt, ...(warnings.length === 0 ? {} : { warnings }) });
    return result;
  };
}
