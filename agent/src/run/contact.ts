/**
 * When the coordinator last answered. The journal gets it now and then, and always when contact is lost or comes
 * back: a watchdog may take silence for a fault only where it was not noticed.
 */
import type { Clock } from '@dc/shared/clock';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import { FACTS } from './facts.ts';

/** Three heartbeats of the usual 30 s. */
const FRESH_MS_MIN = 90_000;
/** One write a minute is enough to tell people. */
const WRITE_EVERY_MS = 60_000;

export class Contact {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #log: Log;
  /** On the monotonic clock: setting the wall clock must not look like silence. */
  #lastSeen: number;
  #lastSeenAt: number | null = null;
  #lastWritten = -Infinity;
  #freshMs = FRESH_MS_MIN;
  #isLost = false;

  constructor(parts: { journal: Journal; clock: Clock; log: Log }) {
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#lastSeen = parts.clock.monotonic(); // The first minutes after the start are no silence.
  }

  /** The coordinator answered just now. */
  seen(): void {
    const now = this.#clock.monotonic();
    this.#lastSeen = now;
    this.#lastSeenAt = this.#clock.now();
    if (!this.#isLost && now - this.#lastWritten < WRITE_EVERY_MS) return;
    if (this.#isLost) this.#log.info({}, 'contact.returned');
    this.#isLost = false;
    this.#lastWritten = now;
    const at = new Date(this.#lastSeenAt).toISOString();
    this.#journal.write('contact.seen', (writer) => {
      writer.setFact(FACTS.lastContactAt, at);
      writer.setFact(FACTS.contactLostAt, '');
    });
  }

  /** Heartbeats come this often: three missing ones are a silence. */
  expectEvery(intervalMs: number): void {
    this.#freshMs = Math.max(FRESH_MS_MIN, 3 * intervalMs);
  }

  /** Whether the coordinator answered lately. */
  get isFresh(): boolean {
    return this.#clock.monotonic() - this.#lastSeen <= this.#freshMs;
  }

  /** Milliseconds since the epoch; null where it has not answered since the start. */
  get lastSeenAt(): number | null {
    return this.#lastSeenAt;
  }

  /** Writes a loss down, once, when there is one. Throws where the journal cannot be written. */
  recordLoss(): void {
    if (this.isFresh || this.#isLost) return;
    const at = new Date(this.#clock.now()).toISOString();
    this.#journal.write('contact.lost', (writer) => writer.setFact(FACTS.contactLostAt, at));
    this.#isLost = true;
    this.#log.warn({ remedy: 'Check the network; the agent goes on trying.' }, 'contact.lost');
  }
}
