/**
 * Keeps up with the coordinator's keys: asks for its announcements when there are new ones, or when something comes
 * signed by a key that is not pinned, and pins durably what follows from a key that is (invariant I13).
 */
import type { Clock } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import { verifyKeyRotation } from '@dc/shared/key-rotation/key-rotation';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import {
  readKeptRotations,
  readPins,
  ROTATIONS_FACT,
  trustIn,
  type KeyTrust,
  type PinRoots,
} from './read-pins.ts';

export interface PinnedKeysParts extends PinRoots {
  readonly journal: Journal;
  readonly coordinator: Pick<Coordinator, 'keyRotations'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class PinnedKeys {
  readonly #parts: PinnedKeysParts;
  #trust: KeyTrust;
  /** How many announcements the coordinator had when we last followed them. */
  #followed = 0;

  constructor(parts: PinnedKeysParts) {
    this.#parts = parts;
    this.#trust = trustIn(readPins(parts.journal, parts));
  }

  /** What counts now. */
  get trust(): KeyTrust {
    return this.#trust;
  }

  /** Whether what this key signed at `atMs` counts. */
  covers(key: string, atMs: number): boolean {
    const { coordinatorKeys, keyEnds } = this.#trust;
    return coordinatorKeys.includes(key) && atMs < (keyEnds.get(key) ?? Infinity);
  }

  /** The coordinator says how many announcements it has. */
  async expect(count: number, signal: AbortSignal): Promise<void> {
    if (count > this.#followed) await this.follow(signal);
  }

  /** Follows the announcements when one of these keys is not pinned. */
  async meet(keys: readonly string[], signal: AbortSignal): Promise<void> {
    if (keys.some((key) => !this.#trust.coordinatorKeys.includes(key))) await this.follow(signal);
  }

  /**
   * Asks for the announcements and pins what follows from ours. Never throws for a coordinator that does not answer:
   * what is not pinned is refused, and it is asked again.
   */
  async follow(signal: AbortSignal): Promise<void> {
    const { coordinator, log } = this.#parts;
    let announced: string[];
    try {
      announced = await coordinator.keyRotations(signal);
    } catch (error) {
      if (!isAppError(error)) throw error;
      if (!signal.aborted) log.warn({ code: error.code }, 'coordinator_keys.unread');
      return;
    }
    this.#keep(announced);
    this.#followed = announced.length;
  }

  #keep(announced: readonly string[]): void {
    const { journal, clock, log } = this.#parts;
    const kept = readKeptRotations(journal);
    const known = new Set(kept.map(({ compact }) => compact));
    const pinned_at = new Date(clock.now()).toISOString();
    const all = [
      ...kept,
      ...announced.filter((compact) => !known.has(compact)).map((compact) => ({ compact, pinned_at })),
    ];
    const facts = { fact: () => JSON.stringify(all) };
    const pins = readPins(facts, this.#parts);
    const used = new Set(pins.map(({ by }) => by?.compact));
    const news = all.filter(({ compact }) => used.has(compact));
    this.#warnOfRivals(announced, used);
    if (news.length === kept.length) return;
    journal.write('coordinator_keys.pinned', (writer) =>
      writer.setFact(ROTATIONS_FACT, JSON.stringify(news)),
    );
    this.#trust = trustIn(pins);
    for (const { key, by } of pins) {
      if (by !== null && !known.has(by.compact))
        log.info(
          { key, replaces: by.iss, old_key_ends: new Date(by.ends * 1000).toISOString() },
          'coordinator_key.pinned',
        );
    }
  }

  /** Two successors of one key: somebody else has that key. The first one that we saw stays. */
  #warnOfRivals(announced: readonly string[], used: ReadonlySet<string | undefined>): void {
    const { log, environment } = this.#parts;
    for (const compact of announced) {
      const rotation = verifyKeyRotation(compact);
      const isRival =
        rotation !== null &&
        !used.has(compact) &&
        rotation.environment === environment &&
        this.#trust.keyEnds.has(rotation.iss);
      if (isRival) log.error({ key: rotation.iss, announces: rotation.next }, 'coordinator_key.rival');
    }
  }
}
