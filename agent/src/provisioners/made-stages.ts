/** How long each stage of making an instance takes: what a driver tells of its work. */
import type { Clock } from '@dc/shared/clock';

/** One stage that has ended. Times in milliseconds since the epoch. */
export interface MadeStage {
  /** Such as `linked_clone`. */
  readonly name: string;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** Does a stage, and tells of it if it ends well. */
export type RunStage = <T>(name: string, work: () => Promise<T>) => Promise<T>;

/** Times stages for whoever wants to hear of them. */
export function stagesFor(clock: Clock, onStage: (stage: MadeStage) => void): RunStage {
  return async (name, work) => {
    const startedAt = Math.round(clock.now());
    const begun = clock.monotonic();
    const result = await work();
    // The wall clock may be set back in between.
    onStage({ name, startedAt, endedAt: startedAt + Math.round(clock.monotonic() - begun) });
    return result;
  };
}
