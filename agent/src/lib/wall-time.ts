/** When something was, on a wall clock that may have been set since. */
import type { Clock } from '@dc/shared/clock';

/** The moment of the monotonic clock as the wall clock counts now, in whole milliseconds since the epoch. */
export function wallTimeOf(clock: Clock, monotonicMs: number): number {
  return Math.round(clock.now() - (clock.monotonic() - monotonicMs));
}
