/**
 * How much is done on one storage at once. Proxmox waits 10 s for a storage's lock and then fails with "got timeout":
 * each such answer halves what is begun at once there, and each success lets one more in, up to the most.
 */
import { AppError } from '@dc/shared/errors';

/** An allocation holds a storage's lock for a moment of a clone: so many keep it busy, and nobody waits 10 s for it. */
const AT_ONCE_FIRST = 8;
const AT_ONCE_MAX = 16;

interface Lane {
  limit: number;
  running: number;
  /** Successes since the limit was last changed. */
  successes: number;
  readonly waiting: (() => void)[];
}

export class StorageGovernor {
  readonly #lanes = new Map<string, Lane>();

  /** Does the work when there is room for it on the storage. `isBusy` tells a failure that means: too much at once. */
  async run<T>(
    storage: string,
    signal: AbortSignal,
    { work, isBusy }: { work: () => Promise<T>; isBusy: (error: unknown) => boolean },
  ): Promise<T> {
    const lane = this.#lane(storage);
    await enter(lane, signal);
    try {
      const result = await work();
      lane.successes += 1;
      if (lane.successes >= lane.limit && lane.limit < AT_ONCE_MAX) setLimit(lane, lane.limit + 1);
      return result;
    } catch (error) {
      if (isBusy(error)) setLimit(lane, Math.max(1, Math.floor(lane.limit / 2)));
      throw error;
    } finally {
      lane.running -= 1;
      wake(lane);
    }
  }

  /** How much may be begun at once there now. */
  limitOf(storage: string): number {
    return this.#lane(storage).limit;
  }

  #lane(storage: string): Lane {
    const known = this.#lanes.get(storage);
    if (known !== undefined) return known;
    const lane: Lane = { limit: AT_ONCE_FIRST, running: 0, successes: 0, waiting: [] };
    this.#lanes.set(storage, lane);
    return lane;
  }
}

function setLimit(lane: Lane, limit: number): void {
  lane.limit = limit;
  lane.successes = 0;
}

async function enter(lane: Lane, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new AppError('SAGA_ABORTED');
  if (lane.running < lane.limit) {
    lane.running += 1;
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const go = (): void => {
      signal.removeEventListener('abort', stop);
      lane.running += 1;
      resolve();
    };
    const stop = (): void => {
      lane.waiting.splice(lane.waiting.indexOf(go), 1);
      reject(new AppError('SAGA_ABORTED'));
    };
    signal.addEventListener('abort', stop, { once: true });
    lane.waiting.push(go);
  });
}

function wake(lane: Lane): void {
  while (lane.running < lane.limit) {
    const next = lane.waiting.shift();
    if (next === undefined) return;
    next();
  }
}
