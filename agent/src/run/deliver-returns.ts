/** Tells the coordinator which orders go back, until it knows. */
import type { Clock } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import { RETURN_DETAIL_MAX } from '@dc/shared/wire/agent';
import { toPlainText } from '@dc/shared/wire/schema-parts';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { Contact } from './contact.ts';

const BATCH_MAX = 20;
/** Every return nudges. */
const IDLE_MS = 300_000;

export interface ReturnParts {
  readonly journal: Journal;
  readonly coordinator: Coordinator;
  readonly contact: Contact;
  readonly clock: Clock;
  readonly log: Log;
}

/** One round of returns. */
export function returnTurn({ journal, coordinator, contact, clock, log }: ReturnParts): Turn {
  return async (signal) => {
    const waiting = journal.undeliveredReturns(BATCH_MAX);
    for (const order of waiting) {
      if (order.returned === null) continue;
      const { code, nothingMade } = order.returned;
      const detail = toPlainText(order.returned.detail, RETURN_DETAIL_MAX);
      const body = { epoch: order.epoch, code, detail, nothing_made: nothingMade };
      try {
        await coordinator.returnWork(order.orderId, body, signal);
        contact.seen();
      } catch (error) {
        // Not ours any more: there is nothing left to hand back.
        if (!isAppError(error, 'LEASE_STALE') && !isAppError(error, 'ORDER_NOT_FOUND')) throw error;
        log.info({ order_id: order.orderId, code: error.code }, 'order.return.needless');
      }
      journal.write('return.delivered', (writer) => writer.acknowledgeReturn(order, Math.round(clock.now())));
    }
    return waiting.length === BATCH_MAX ? 0 : IDLE_MS;
  };
}
