/** Says regularly that this agent lives and what it runs; learns what the coordinator knows of it. */
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { PinnedKeys } from '../coordinator-keys/pinned-keys.ts';
import { jittered } from '../lib/backoff.ts';
import type { Turn } from '../lib/loop.ts';
import { composeHeartbeat, type HeartbeatWords, type StatedLook } from './compose-heartbeat.ts';
import type { Contact } from './contact.ts';
import { describeHeld, receiptedSeq, type HeldOrdersTeller } from './held-evidence.ts';

/** Whatever the coordinator says: more often is noise, more seldom makes us look dead. */
const INTERVAL_MS_MIN = 1_000;
const INTERVAL_MS_MAX = 300_000;

export interface HeartbeatParts extends HeartbeatWords {
  readonly coordinator: Coordinator;
  readonly contact: Contact;
  readonly pins: Pick<PinnedKeys, 'expect'>;
  readonly teller: HeldOrdersTeller;
  readonly random: Random;
  /** Called when the coordinator holds fewer records than it has signed receipts for; `fromSeq` is the first one. */
  readonly onLostRecords: (fromSeq: number) => void;
  /** Called when the coordinator has work that nobody nudged us about. */
  readonly onWork: () => void;
  /** Called with contracts of ours at the backend that another agent of the provider answers for. */
  readonly onElsewhere: (contractIds: readonly string[]) => void;
}

/** One heartbeat. */
export function heartbeatTurn(parts: HeartbeatParts): Turn {
  let stated: StatedLook | null = null;
  return async (signal) => {
    // Before we ask: what is receipted while the answer is on its way cannot be in it.
    const receipted = receiptedSeq(parts.journal);
    const composed = composeHeartbeat(parts, stated);
    stated = composed.stated;
    const beat = { ...composed.beat, held: describeHeld(parts.journal) };
    const answer = await parts.coordinator.heartbeat(beat, signal);
    parts.contact.seen();
    await parts.pins.expect(answer.key_rotations ?? 0, signal);
    assertOwnChain(parts, answer.records_held);
    if (answer.records_held < receipted) parts.onLostRecords(answer.records_held + 1);
    await parts.teller.answer(answer, signal);
    const intervalMs = Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, answer.next_interval_ms));
    parts.contact.expectEvery(intervalMs);
    parts.onElsewhere(answer.held_elsewhere ?? []);
    if (answer.open_work > 0) parts.onWork();
    return heartbeatPauseMs(intervalMs, parts.random);
  };
}

/**
 * How long to wait for the next one after the last one's answer: not all agents at once, and with a tenth of the
 * interval for a busy machine or line, so that none comes later than promised.
 */
export const heartbeatPauseMs = (intervalMs: number, random: Random): number =>
  jittered(intervalMs * 0.85, random, 0.06);

/**
 * The coordinator cannot hold more of our records than we have signed: then somebody else signs with our key, or
 * our journal was lost. Either way we know less than we did, and must not act on it.
 */
function assertOwnChain({ journal, agentKey }: HeartbeatParts, held: number): void {
  const signed = journal.lastSeq(agentKey.publicKey);
  if (held <= signed) return;
  throw new AppError(
    'RECORD_FORK',
    `The coordinator holds ${held} records of this agent's key, this journal only ${signed}.`,
    {
      remedy:
        'Stop the other agent that uses this key, or restore the journal; with neither, set this machine up again ' +
        'with a new key.',
    },
  );
}
