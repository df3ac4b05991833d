/**
 * What the coordinator has given us, told back to it: a coordinator that was restored from an older backup learns from
 * it what it does not know any more, and then acts on nothing until somebody has looked (safe mode).
 */
import type { Clock } from '@dc/shared/clock';
import { readCheckpoint } from '@dc/shared/evidence/record';
import { HELD_ORDERS_MAX, type WireHeartbeatAnswer, type WireHeldEvidence } from '@dc/shared/wire/agent';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { JournalReader } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import { FACTS } from './facts.ts';

/** While the safe mode lasts: news is rare, since nothing is ordered. */
const TELL_EVERY_MS = 300_000;

/** Our newest receipt and our newest order. */
export function describeHeld(journal: Pick<JournalReader, 'fact' | 'newestOrder'>): WireHeldEvidence {
  const checkpoint = journal.fact(FACTS.checkpoint) ?? '';
  const order = journal.newestOrder();
  return { ...(checkpoint === '' ? {} : { checkpoint }), ...(order === null ? {} : { order }) };
}

/** The sequence number up to which the coordinator has signed receipts; 0 for none. */
export function receiptedSeq(journal: Pick<JournalReader, 'fact'>): number {
  // It was verified before it was kept.
  return readCheckpoint(journal.fact(FACTS.checkpoint) ?? '')?.payload.seq ?? 0;
}

export interface HeldOrdersParts {
  readonly journal: Pick<JournalReader, 'heldOrders'>;
  readonly coordinator: Pick<Coordinator, 'tellOrders'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Tells a coordinator in a safe mode which orders we hold, now and then for as long as it asks. */
export class HeldOrdersTeller {
  readonly #parts: HeldOrdersParts;
  #toldAt = -Infinity;
  #toldFor = '';

  constructor(parts: HeldOrdersParts) {
    this.#parts = parts;
  }

  /** After a heartbeat. Throws what the coordinator throws; the next heartbeat tries again. */
  async answer({ safe_mode: asked }: WireHeartbeatAnswer, signal: AbortSignal): Promise<void> {
    const { journal, coordinator, clock, log } = this.#parts;
    if (asked === undefined) return;
    const isNew = asked.since !== this.#toldFor;
    if (!isNew && clock.monotonic() - this.#toldAt < TELL_EVERY_MS) return;
    if (isNew)
      log.warn(
        { since: asked.since, remedy: 'Its admin has to resolve it; instances go on.' },
        'coordinator.safe_mode',
      );
    const orders = journal.heldOrders(Date.parse(asked.orders_after));
    let unknown: readonly string[] = [];
    for (let from = 0; from === 0 || from < orders.length; from += HELD_ORDERS_MAX) {
      const part = orders.slice(from, from + HELD_ORDERS_MAX);
      unknown = await coordinator.tellOrders(part, from + HELD_ORDERS_MAX >= orders.length, signal);
    }
    this.#toldAt = clock.monotonic();
    this.#toldFor = asked.since;
    if (unknown.length > 0) log.warn({ contract_ids: unknown }, 'coordinator.knows_not');
  }
}
