/** Lets the journal forget, a little at a time, so that no other write waits for it. */
import type { Clock } from '@dc/shared/clock';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { Journal } from './journal.ts';

const EVERY_MS = 6 * 3_600_000;
/** Contracts in one write: a few milliseconds. */
const CONTRACTS_MAX = 50;
/** Between two such writes. */
const PAUSE_MS = 1_000;

export interface HistoryParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
  /** How long the history of a contract is kept after its end. */
  readonly historyMs: number;
}

/** One step of forgetting. */
export function historyTurn({ journal, clock, log, historyMs }: HistoryParts): Turn {
  return () => {
    const before = Math.round(clock.now() - historyMs);
    const count = journal.write('history.forgotten', (writer) => writer.forgetHistory(before, CONTRACTS_MAX));
    if (count > 0) log.info({ contracts: count }, 'history.forgotten');
    return Promise.resolve(count === CONTRACTS_MAX ? PAUSE_MS : EVERY_MS);
  };
}
