/**
 * Proves every few seconds that the agent works: that its loop turns (else this would not run), that the journal
 * can be written, and that the coordinator answers or its silence is written down. Only then is systemd's watchdog
 * fed: an agent that hangs is restarted, one that has no network is not.
 */
import type { Clock } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { Contact } from './contact.ts';
import { FACTS } from './facts.ts';
import type { Notify } from './notify-systemd.ts';

/** What `status` takes for alive depends on it. */
export const ALIVE_EVERY_MS = 15_000;
/** Two may be missed before systemd acts. */
const FEEDS_PER_WATCHDOG = 3;

export interface WatchdogParts {
  readonly journal: Journal;
  readonly contact: Contact;
  readonly clock: Clock;
  readonly log: Log;
  readonly notify: Notify;
  /** Null without a watchdog. */
  readonly watchdogMs: number | null;
  /** One line for `systemctl status`. */
  readonly describe: () => string;
}

/** One proof. */
export function watchdogTurn(parts: WatchdogParts): Turn {
  const { journal, contact, clock, log, notify, watchdogMs, describe } = parts;
  const pace = Math.min(ALIVE_EVERY_MS, (watchdogMs ?? Infinity) / FEEDS_PER_WATCHDOG);
  let status = '';
  return async () => {
    try {
      const at = new Date(clock.now()).toISOString();
      journal.write('agent.alive', (writer) => writer.setFact(FACTS.aliveAt, at));
      contact.recordLoss();
    } catch (error) {
      // Not fed: a journal that stays unwritable ends in a restart, which is what may help.
      if (!isAppError(error)) throw error;
      log.error({ code: error.code, detail: error.message, remedy: error.remedy }, 'watchdog.not_fed');
      return pace;
    }
    const now = describe();
    const isNews = now !== status;
    status = now;
    if (watchdogMs !== null && isNews) await notify('WATCHDOG=1', `STATUS=${now}`);
    else if (watchdogMs !== null) await notify('WATCHDOG=1');
    else if (isNews) await notify(`STATUS=${now}`);
    return pace;
  };
}
