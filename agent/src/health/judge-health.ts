/**
 * PURE: whether an instance counts as up. One failed look says little (a busy guest, a lost packet), so the verdict
 * changes only after several of the same kind; until there are enough it is not known (I16).
 */

/** What is known of one instance. */
export interface Health {
  readonly verdict: 'unknown' | 'healthy' | 'unhealthy';
  /** How many looks in a row said the same. */
  readonly streak: number;
  readonly lastLookWasGood: boolean | null;
}

export const HEALTH_UNKNOWN: Health = { verdict: 'unknown', streak: 0, lastLookWasGood: null };

/** Three minutes of silence at one look a minute: shorter than a patience, longer than a reboot of a small guest. */
const BAD_LOOKS_FOR_UNHEALTHY = 3;
/** Coming back is believed a little more slowly than one look, so that a flapping guest does not fill the chain. */
const GOOD_LOOKS_FOR_HEALTHY = 2;

/** What is known after one more look. */
export function judgeHealth(before: Health, lookWasGood: boolean): Health {
  const streak = before.lastLookWasGood === lookWasGood ? before.streak + 1 : 1;
  const now: Health = { ...before, streak, lastLookWasGood: lookWasGood };
  if (!lookWasGood) return streak >= BAD_LOOKS_FOR_UNHEALTHY ? { ...now, verdict: 'unhealthy' } : now;
  // The first look at an instance that was delivered: its SSH server has answered before.
  const needed = before.verdict === 'unhealthy' ? GOOD_LOOKS_FOR_HEALTHY : 1;
  return streak >= needed ? { ...now, verdict: 'healthy' } : now;
}
