/**
 * The breaker of I7: counts what releases destroy, and holds them back once it is more than usual, until the operator
 * confirms. It does not ask why a contract ended: whoever took over the coordinator signs any reason.
 *
 * INVARIANTS:
 * - What was decided about a release is in the journal before anything is destroyed, and stays after a crash.
 * - Only the operator of this machine lets a waiting release go on: no order and no passing of time does.
 */
import type { Clock } from '@dc/shared/clock';
import type { AskedRelease, Journal } from '../journal/journal.ts';
import type { SagaLog } from '../sagas/saga.ts';
import type { ReleaseInput } from '../sagas/saga-inputs.ts';
import { isWithinLimit, limitOf, WINDOW_MS } from './breaker-rules.ts';

export interface BreakerParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: SagaLog;
  /** How many instances may be destroyed within an hour, whatever is held. */
  readonly destructionsPerHour: number;
}

type ReleaseToAsk = Pick<AskedRelease, 'sagaId' | 'contractId' | 'instanceIds'>;

export class DestructionBreaker {
  readonly #parts: BreakerParts;

  constructor(parts: BreakerParts) {
    this.#parts = parts;
  }

  /** Whether this release may destroy now. Joins the caller's `write`. The answer stays until it is confirmed. */
  readonly mayDestroy = ({ sagaId, contractId, ...release }: ReleaseToAsk): boolean => {
    const { journal, clock, log, destructionsPerHour } = this.#parts;
    const asked = journal.release(sagaId);
    if (asked !== null) return asked.allowedAt !== null;
    // A tombstone that comes again for what it has destroyed: that was counted.
    const known = journal.contract(contractId)?.instance ?? null;
    const instanceIds = release.instanceIds.filter(
      (id) => known?.phase !== 'destroyed' || known.handle?.id !== id,
    );
    if (instanceIds.length === 0) return true;
    const askedAt = Math.round(clock.now());
    const window = journal.destructionWindow(askedAt - WINDOW_MS);
    const isAllowed = isWithinLimit(instanceIds.length, destructionsPerHour, window);
    const { tombstone } = journal.saga(sagaId)?.input as ReleaseInput;
    const { reason } = tombstone;
    journal.write('release.asked', (writer) =>
      writer.saveRelease({
        sagaId,
        contractId,
        instanceIds,
        reason,
        askedAt,
        allowedAt: isAllowed ? askedAt : null,
      }),
    );
    if (!isAllowed) {
      const limit = limitOf(destructionsPerHour, window);
      log.warn(
        { contract_id: contractId, reason, destroyed_within_the_hour: window.counted, limit },
        'destruction.paused',
      );
    }
    return isAllowed;
  };
}

/**
 * The operator has looked at these releases: they go on, and counting begins anew. Returns the contracts that waited.
 * Others, which came meanwhile, go on waiting. Idempotent.
 */
export function confirmReleases(journal: Journal, sagaIds: readonly string[], now: number): string[] {
  const wanted = new Set(sagaIds);
  const waiting = journal.pausedReleases().filter(({ sagaId }) => wanted.has(sagaId));
  if (waiting.length === 0) return [];
  journal.write('releases.confirmed', (writer) =>
    writer.confirmReleases(
      waiting.map(({ sagaId }) => sagaId),
      Math.round(now),
    ),
  );
  return waiting.map(({ contractId }) => contractId);
}
