/** The one way in which the agent repeats something for ever: with pauses, nudges, and longer pauses after failures. */
import type { Clock } from '@dc/shared/clock';
import { isAppError, type ErrorCode } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { backoffMs, type BackoffLimits } from './backoff.ts';
import type { Log } from './log.ts';
import type { Nudge } from './nudge.ts';

/** One round. Resolves with the milliseconds until the next one; 0 for at once. */
export type Turn = (signal: AbortSignal) => Promise<number>;

export interface LoopOptions {
  /** In the log: `<name>.failed`. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Cuts a pause short, after a failure too. */
  readonly nudge: Nudge;
  readonly backoff: BackoffLimits;
  /** Aborting it ends the loop after the turn that is going on. */
  readonly signal: AbortSignal;
}

/**
 * What repeating cannot mend, whoever meets it: our key was revoked, or somebody else signs with it. Everything else
 * (an unknown key too: a coordinator may be restored from a backup) is tried for ever.
 */
const FATAL: ReadonlySet<ErrorCode> = new Set(['KEY_REVOKED', 'RECORD_FORK', 'JOURNAL_CORRUPT']);

/**
 * Runs turns until the signal is aborted. An AppError is logged and the turn repeated later; RECORD_FORK,
 * KEY_REVOKED, JOURNAL_CORRUPT and errors that are no AppError (bugs) end the loop and reject.
 */
export async function runLoop(turn: Turn, options: LoopOptions): Promise<void> {
  const { name, clock, random, log, nudge, backoff, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    let pauseMs: number;
    try {
      pauseMs = await turn(signal);
      if (failures > 0) log.info({ failures }, `${name}.recovered`);
      failures = 0;
    } catch (error) {
      if (signal.aborted && isAppError(error)) return;
      if (!isAppError(error) || FATAL.has(error.code)) throw error;
      failures += 1;
      pauseMs = backoffMs(failures, backoff, random, error);
      const { code, message: detail, remedy } = error;
      const fields = { code, detail, remedy, failures, retry_in_ms: Math.round(pauseMs), err: error.cause };
      // The first failures are news; then one line in ten, so that a long outage does not fill the disk.
      if (failures <= 3 || failures % 10 === 0) log.warn(fields, `${name}.failed`);
      else log.debug(fields, `${name}.failed`);
    }
    await nudge.wait(clock, pauseMs, signal);
  }
}
