/** PURE: when the agent stops destroying and asks (I7). */
import type { DestructionWindow } from '../journal/journal.ts';

/** What is counted together. */
export const WINDOW_MS = 3_600_000;
/** A tenth of what was there when the window began. */
const SHARE = 10;

/** How many instances may be destroyed within a window. `configured` is what the configuration allows at least. */
export function limitOf(configured: number, { held }: Pick<DestructionWindow, 'held'>): number {
  return Math.max(configured, Math.floor(held / SHARE));
}

/**
 * Whether `instances` more may go. Once one release waits, all wait: what set the breaker off is for a person to
 * judge, and a trickle would empty the machines as well, only later.
 */
export function isWithinLimit(instances: number, configured: number, window: DestructionWindow): boolean {
  return window.waiting === 0 && window.counted + instances <= limitOf(configured, window);
}
