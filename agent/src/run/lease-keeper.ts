/**
 * Keeps the leases of work that is going on. Each is renewed at a third of its time, by itself: one call that hangs
 * holds up no other. A lease that is not ours any more stops its work at once; one that could not be renewed stops
 * it at 60 % (sagas/lease.ts), which the runner sees to.
 */
import type { Clock } from '@dc/shared/clock';
import { isAppError, type AppError } from '@dc/shared/errors';
import { randomFraction, type Random } from '@dc/shared/random';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { Journal, Lease } from '../journal/journal.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import { Nudge } from '../lib/nudge.ts';
import { wallTimeOf } from '../lib/wall-time.ts';
import type { ContractRunner } from '../reconcile/contract-runner.ts';
import type { Contact } from './contact.ts';

/** At the end of the first third, there is time for two more tries before 60 %. */
const RENEW_AT = 1 / 3;
/** Calls under way at once; the others come next. */
const PARALLEL_MAX = 16;
/** A call may take a sixth of the lease: then two fit between a third and 60 % of it. */
const CALL_SHARE = 1 / 6;
const CALL_MS_MIN = 1_000;
const RETRY = { baseMs: 500, capMs: 5_000 };
const NOTHING_TO_RENEW_MS = 60_000;
/** How far wall clock and monotonic clock may drift apart before leases are written anew. */
const CLOCK_STEP_MS = 2_000;

/** A lease that is being kept. */
interface Kept {
  readonly orderId: string;
  readonly epoch: number;
  /** As last granted: the first time is short. */
  ttlMs: number;
  /** When it is to be renewed, on the monotonic clock. */
  dueAt: number;
  failures: number;
  isCalling: boolean;
}

export interface KeeperParts {
  readonly journal: Journal;
  readonly coordinator: Coordinator;
  readonly runner: Pick<ContractRunner, 'renew' | 'lose'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly contact: Contact;
  /** Called when a lease was lost: the work may be had again under a new one. */
  readonly onLost: () => void;
}

export class LeaseKeeper {
  readonly nudge = new Nudge();
  readonly #parts: KeeperParts;
  readonly #kept = new Map<string, Kept>();
  readonly #calls = new Set<Promise<void>>();
  /** Wall clock minus monotonic clock, as the leases in the journal know it. */
  #clockOffset: number;
  #fatal: Error | null = null;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#clockOffset = parts.clock.now() - parts.clock.monotonic();
  }

  /**
   * Takes up what the journal holds: after a start, every lease is tried at once, also one that has run out. Until
   * then none lets anybody work: how long we were away only a clock can tell that may have been set meanwhile.
   */
  restore(): void {
    const { journal, clock } = this.#parts;
    const leases = journal.contractIds('live').flatMap((contractId) => journal.lease(contractId) ?? []);
    const held = leases.filter(({ lost }) => !lost);
    for (const lease of held) this.#keep(lease, clock.monotonic());
    this.#prune();
    const now = Math.round(clock.now());
    const kept = held.filter(({ contractId }) => this.#kept.has(contractId));
    if (kept.length === 0) return;
    journal.write('leases.restored', (writer) => {
      for (const lease of kept) writer.saveLease({ ...lease, grantedAt: now, expiresAt: now });
    });
  }

  /** Keeps leases that were just granted. */
  add(leases: readonly Lease[]): void {
    this.#followClock(); // Before these are kept: they know the new time already.
    const now = this.#parts.clock.monotonic();
    for (const lease of leases) this.#keep(lease, this.#firstDue(now, lease.expiresAt - lease.grantedAt));
    this.nudge.nudge();
  }

  /** How many contracts have work that is not answered yet. Releases that wait for the operator take nobody's place. */
  openCount(): number {
    this.#prune();
    const paused = this.#parts.journal.pausedReleases();
    return this.#kept.size - paused.filter(({ contractId }) => this.#kept.has(contractId)).length;
  }

  /** Begins what is due. Never waits for it. */
  readonly turn: Turn = async (signal) => {
    if (this.#fatal !== null) throw this.#fatal;
    this.#followClock();
    this.#prune();
    const { clock } = this.#parts;
    const now = clock.monotonic();
    for (const [contractId, kept] of this.#kept) {
      if (kept.isCalling || kept.dueAt > now || this.#calls.size >= PARALLEL_MAX) continue;
      kept.isCalling = true;
      const call = this.#renew(contractId, kept, signal).finally(() => {
        kept.isCalling = false;
        this.#calls.delete(call);
        this.nudge.nudge();
      });
      this.#calls.add(call);
    }
    const next = [...this.#kept.values()].filter(({ isCalling }) => !isCalling).map(({ dueAt }) => dueAt);
    // With every place taken, the end of a call nudges.
    const isFull = this.#calls.size >= PARALLEL_MAX;
    return isFull || next.length === 0 ? NOTHING_TO_RENEW_MS : Math.max(0, Math.min(...next) - now);
  };

  /** Resolves when no call is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#calls);
  }

  async #renew(contractId: string, kept: Kept, signal: AbortSignal): Promise<void> {
    const { coordinator, runner, clock, contact } = this.#parts;
    const deadline = new AbortController();
    const cancel = clock.schedule(Math.max(CALL_MS_MIN, kept.ttlMs * CALL_SHARE), () => deadline.abort());
    const asked = clock.monotonic();
    try {
      const { orderId, epoch } = kept;
      const { ttlMs } = await coordinator.renewLease(
        orderId,
        epoch,
        AbortSignal.any([signal, deadline.signal]),
      );
      contact.seen();
      if (this.#kept.get(contractId) !== kept) return; // A newer lease came in between.
      kept.failures = 0;
      kept.ttlMs = ttlMs;
      kept.dueAt = this.#firstDue(asked, ttlMs);
      this.#followClock(); // It may have been set while we waited.
      const grantedAt = wallTimeOf(clock, asked);
      const expiresAt = grantedAt + ttlMs;
      runner.renew([{ contractId, orderId, epoch, grantedAt, expiresAt, lost: false }]);
    } catch (error) {
      if (!signal.aborted) this.#onFailure(contractId, kept, error);
    } finally {
      cancel();
    }
  }

  #onFailure(contractId: string, kept: Kept, error: unknown): void {
    const { clock, random, log } = this.#parts;
    const failure = isStale(error) ? this.#lose(contractId, kept, error) : error;
    if (failure === null) return;
    if (!isAppError(failure) || failure.code === 'KEY_REVOKED') {
      this.#fatal = failure instanceof Error ? failure : new Error('no error was thrown', { cause: failure });
      // The next turn throws it.
      return;
    }
    kept.failures += 1;
    kept.dueAt = clock.monotonic() + backoffMs(kept.failures, RETRY, random, failure);
    if (kept.failures === 1)
      log.warn({ contract_id: contractId, code: failure.code }, 'lease.renewal.failed');
  }

  /** Lets go of a lease that is not ours any more. Null, or why that could not be written: then it is tried again. */
  #lose(contractId: string, kept: Kept, { code }: AppError): unknown {
    const { runner, log, onLost } = this.#parts;
    try {
      runner.lose(contractId, kept.epoch);
    } catch (error) {
      return error;
    }
    log.warn({ contract_id: contractId, epoch: kept.epoch, code }, 'lease.lost');
    // A newer lease that came in between stays.
    if (this.#kept.get(contractId) === kept) this.#kept.delete(contractId);
    onLost();
    return null;
  }

  #keep(lease: Lease, dueAt: number): void {
    const { contractId, orderId, epoch, grantedAt, expiresAt } = lease;
    const ttlMs = expiresAt - grantedAt;
    this.#kept.set(contractId, { orderId, epoch, ttlMs, dueAt, failures: 0, isCalling: false });
  }

  /** A little before the third, so that leases that came together are not renewed together. */
  #firstDue(now: number, ttlMs: number): number {
    return now + ttlMs * RENEW_AT * (0.8 + 0.2 * randomFraction(this.#parts.random));
  }

  /** Lets go of what is answered, handed back or lost. */
  #prune(): void {
    const { journal } = this.#parts;
    for (const [contractId, { epoch }] of this.#kept) {
      if (!journal.isLeaseNeeded({ contractId, epoch })) this.#kept.delete(contractId);
    }
  }

  /**
   * Leases are kept in wall-clock time. When that is set forward or back, they are written anew as they really are:
   * else work would stop for no reason, or go on after its time.
   */
  #followClock(): void {
    const { clock, runner, journal, log } = this.#parts;
    const step = clock.now() - clock.monotonic() - this.#clockOffset;
    if (Math.abs(step) < CLOCK_STEP_MS) return;
    this.#clockOffset += step;
    log.warn({ step_ms: Math.round(step) }, 'clock.stepped');
    const leases = [...this.#kept].flatMap(([contractId, { epoch }]) => {
      const lease = journal.lease(contractId);
      if (lease?.epoch !== epoch) return [];
      const grantedAt = Math.round(lease.grantedAt + step);
      return [{ ...lease, grantedAt, expiresAt: Math.round(lease.expiresAt + step) }];
    });
    if (leases.length > 0) runner.renew(leases);
  }
}

const isStale = (error: unknown): error is AppError =>
  isAppError(error, 'LEASE_STALE') || isAppError(error, 'ORDER_NOT_FOUND');
