/**
 * The outbox: signed records go to the coordinator strictly in order, until it holds them, for ever. What it makes
 * of one is its own business: a record that has no effect is delivered all the same.
 */
import type { Clock } from '@dc/shared/clock';
import { hashJws } from '@dc/shared/crypto/jws';
import { AppError, isAppError } from '@dc/shared/errors';
import { verifyCheckpoint, type Checkpoint } from '@dc/shared/evidence/record';
import type { PinnedKeys } from '../coordinator-keys/pinned-keys.ts';
import type { Coordinator, RecordsTaken } from '../coordinator-client/coordinator.ts';
import type { Journal, JournalRecord } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { Contact } from './contact.ts';
import { FACTS } from './facts.ts';
import { describeHeld, receiptedSeq } from './held-evidence.ts';

const BATCH_MAX = 100;
/** Half of what the coordinator takes in one body. */
const BATCH_CHARS_MAX = 500_000;
/** Every record nudges; this only finds what a nudge could not tell (another process wrote none). */
const IDLE_MS = 300_000;

export interface DeliveryParts {
  readonly journal: Journal;
  readonly coordinator: Coordinator;
  readonly contact: Contact;
  readonly clock: Clock;
  readonly log: Log;
  readonly agentKey: string;
  readonly pins: Pick<PinnedKeys, 'covers' | 'meet'>;
}

export class RecordDelivery {
  readonly #parts: DeliveryParts;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  readonly turn: Turn = async (signal) => {
    const { journal, coordinator, contact, pins } = this.#parts;
    const waiting = this.#own(journal.undeliveredRecords(BATCH_MAX));
    if (waiting.length === 0) return IDLE_MS;
    const batch = cutToSize(waiting);
    try {
      const compacts = batch.map(({ compact }) => compact);
      // Receipted once, and asked for again: the coordinator must hear that it has lost them before it takes them.
      const isLost = (batch[0]?.seq ?? Infinity) <= receiptedSeq(journal);
      const held = isLost ? describeHeld(journal) : undefined;
      const taken = await coordinator.submitRecords(compacts, signal, held);
      contact.seen();
      const receipt = verifyCheckpoint(taken.checkpoint);
      if (receipt !== null) await pins.meet([receipt.coordinator], signal);
      this.#acknowledge(batch, taken, receipt);
    } catch (error) {
      this.#reopenGap(error);
      throw error;
    }
    return batch.length < waiting.length || waiting.length === BATCH_MAX ? 0 : IDLE_MS;
  };

  /**
   * Leaves out what another key has signed: nobody takes it from us. It stays in the journal, as evidence, and does
   * not hold up what comes after it.
   */
  #own(records: readonly JournalRecord[]): JournalRecord[] {
    const { journal, clock, log, agentKey } = this.#parts;
    const foreign = records.filter((record) => record.agentKey !== agentKey);
    if (foreign.length > 0) {
      log.error({ records: foreign.length }, 'records.of_another_key');
      journal.write('records.set_aside', (writer) => {
        for (const record of foreign)
          writer.acknowledgeRecord(record, 'KEY_REPLACED', Math.round(clock.now()));
      });
    }
    return records.filter((record) => record.agentKey === agentKey);
  }

  #acknowledge(
    batch: readonly JournalRecord[],
    { results, checkpoint }: RecordsTaken,
    receipt: Checkpoint | null,
  ): void {
    const { journal, clock, log } = this.#parts;
    this.#assertReceipt(batch, receipt);
    const answers = new Map(results.map((result) => [result.seq, result.code ?? result.outcome]));
    const at = Math.round(clock.now());
    journal.write('records.delivered', (writer) => {
      for (const record of batch) {
        const answer = answers.get(record.seq);
        if (answer === undefined) throw new AppError('RESPONSE_INVALID', 'The answer leaves a record out.');
        writer.acknowledgeRecord(record, answer, at);
      }
      writer.setFact(FACTS.checkpoint, checkpoint);
    });
    for (const { seq, contractId: contract_id, kind, at: happenedAt } of batch) {
      const answer = answers.get(seq);
      const fields = { seq, contract_id, kind, answer, waited_ms: at - happenedAt };
      if (answer === 'applied' || answer === 'already_applied') log.debug(fields, 'record.delivered');
      else log.warn(fields, 'record.not_applied');
    }
  }

  /** A record counts as delivered only with the coordinator's signature for it: it is our proof later on. */
  #assertReceipt(batch: readonly JournalRecord[], receipt: Checkpoint | null): void {
    const { agentKey, pins } = this.#parts;
    const last = batch.at(-1);
    const fits =
      last !== undefined &&
      receipt !== null &&
      pins.covers(receipt.coordinator, Date.parse(receipt.payload.received_at)) &&
      receipt.payload.agent === agentKey &&
      receipt.payload.seq === last.seq &&
      receipt.payload.hash === hashJws(last.compact);
    if (fits) return;
    throw new AppError(
      'RESPONSE_INVALID',
      'The receipt for the records is not one by the pinned coordinator key.',
    );
  }

  /** The coordinator has lost records from this one on (a restored backup): they are delivered again. */
  readonly reopen = (fromSeq: number): void => {
    const { journal, log, agentKey } = this.#parts;
    log.warn({ from_seq: fromSeq }, 'records.gap');
    journal.write('records.reopened', (writer) => writer.reopenRecords(agentKey, fromSeq));
  };

  #reopenGap(error: unknown): void {
    if (!isAppError(error, 'RECORD_GAP')) return;
    const fromSeq = error.extra['expected_seq'];
    if (typeof fromSeq === 'number' && Number.isSafeInteger(fromSeq) && fromSeq >= 1) this.reopen(fromSeq);
  }
}

function cutToSize(records: readonly JournalRecord[]): JournalRecord[] {
  let chars = 0;
  const fit = records.findIndex(({ compact }) => (chars += compact.length) > BATCH_CHARS_MAX);
  return records.slice(0, fit < 0 ? records.length : Math.max(1, fit));
}
