/** The safe mode as agents and everybody else are told of it. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { SafeModeRow } from './safe-mode-store.ts';

/** Clocks differ, and an answer that was on its way is news as well. */
const MARGIN_MS = 3_600_000;

/** What agents need in order to tell us what they hold. */
export function viewForAgents({ entered_at, known_until_at }: SafeModeRow) {
  const since = toTimestamp(entered_at);
  return { since, orders_after: toTimestamp(Math.max(0, known_until_at - MARGIN_MS)) };
}

/** What everybody may know: since when, and nothing of whose evidence it was. */
export function viewForAll({ entered_at }: SafeModeRow) {
  return { since: toTimestamp(entered_at) };
}
