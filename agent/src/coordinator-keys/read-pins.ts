/**
 * PURE: the coordinator keys that this agent takes orders from: those of its configuration, and those that followed
 * them by announcements which are in the journal. The configuration file stays as the operator wrote it.
 */
import { followRotations, keyEnds, type PinnedKey } from '@dc/shared/key-rotation/key-rotation';
import type { JournalReader } from '../journal/journal.ts';

/** The fact that holds the announcements which were followed: JSON of KeptRotation[], oldest first. */
export const ROTATIONS_FACT = 'coordinator_rotations';

/** An announcement that was followed, and when. */
export interface KeptRotation {
  readonly compact: string;
  /** RFC 3339. */
  readonly pinned_at: string;
}

/** Where pins begin. */
export interface PinRoots {
  readonly coordinatorKeys: readonly string[];
  readonly environment: string;
}

export function readKeptRotations(journal: Pick<JournalReader, 'fact'>): KeptRotation[] {
  return JSON.parse(journal.fact(ROTATIONS_FACT) ?? '[]') as KeptRotation[];
}

/** The pins as the journal has them. */
export function readPins(journal: Pick<JournalReader, 'fact'>, roots: PinRoots): PinnedKey[] {
  const kept = readKeptRotations(journal).map(({ compact }) => compact);
  return followRotations(roots.coordinatorKeys, kept, roots.environment);
}

/** What orders and receipts are held against. */
export interface KeyTrust {
  readonly coordinatorKeys: readonly string[];
  readonly keyEnds: ReadonlyMap<string, number>;
}

export function trustIn(pins: readonly PinnedKey[]): KeyTrust {
  return { coordinatorKeys: pins.map(({ key }) => key), keyEnds: keyEnds(pins) };
}
