/**
 * Takes work: leases orders, holds each against the pinned keys, writes them down and hands them to the runner.
 * What cannot be trusted is refused and never acted upon; what could only fail here goes back.
 */
import { parseJws } from '@dc/shared/crypto/jws';
import { type AppError, isAppError } from '@dc/shared/errors';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { FIRST_LEASE_MS_MAX, RETURN_DETAIL_MAX, type WireLease } from '@dc/shared/wire/agent';
import { toPlainText } from '@dc/shared/wire/schema-parts';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { PinnedKeys } from '../coordinator-keys/pinned-keys.ts';
import type { Journal } from '../journal/journal.ts';
import { jittered } from '../lib/backoff.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import { wallTimeOf } from '../lib/wall-time.ts';
import type { ContractRunner, LeasedOrder } from '../reconcile/contract-runner.ts';
import { hasMadeNothing } from '../sagas/order-answer.ts';
import type { Contact } from './contact.ts';
import { decideDecline, type Conditions } from './decide-decline.ts';
import { decideTakeover, type Here } from './decide-takeover.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import { describeHeld } from './held-evidence.ts';
import { assertNewEpoch, readOrder } from './read-order.ts';

/** With the stream up, polling only finds what both a nudge and the answers to heartbeats missed. */
export const POLL_MS = 60_000;
const POLL_WITHOUT_STREAM_MS = 5_000;
/** When a first lease that never arrived has run out. */
const LOST_LEASE_MS = FIRST_LEASE_MS_MAX + 250;
/** The most that one call answers. */
const LEASES_MAX = 100;

export interface WorkParts {
  readonly journal: Journal;
  readonly coordinator: Coordinator;
  readonly runner: Pick<ContractRunner, 'receive'>;
  readonly keeper: Pick<LeaseKeeper, 'add' | 'openCount'>;
  readonly contact: Contact;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What orders are held against. */
  readonly trust: { readonly agentKey: string; readonly environment: string };
  readonly pins: Pick<PinnedKeys, 'trust' | 'meet'>;
  /** How many orders are held at once, done or waiting: the next is there when a place is free. At least 1. */
  readonly backlog: number;
  readonly conditions: () => Conditions;
  /** What is known here of a contract's instance. */
  readonly here: (contractId: string) => Here;
  readonly isStreamUp: () => boolean;
  /** Called when orders were handed back. */
  readonly onReturn: () => void;
}

export class WorkLoop {
  readonly #parts: WorkParts;
  #isPaused = false;
  #isHungry = false;
  /**
   * A lease may be ours that we know nothing of: an answer was lost, or the process before us ended with it. By then,
   * on the monotonic clock, it has run out and can be had again; null where there is none.
   */
  #looksAgainAt: number | null;
  #refused = 0;

  constructor(parts: WorkParts) {
    this.#parts = parts;
    this.#looksAgainAt = parts.clock.monotonic() + LOST_LEASE_MS;
  }

  /** How many orders were refused since the start. */
  get refusedCount(): number {
    return this.#refused;
  }

  /** Whether the coordinator had as much work as was asked for: there may be more once there is room. */
  get isHungry(): boolean {
    return this.#isHungry;
  }

  /** Takes no new work from now on. */
  pause(): void {
    this.#isPaused = true;
  }

  readonly turn: Turn = async (signal) => {
    const { clock, random, isStreamUp, keeper, backlog } = this.#parts;
    const pace = jittered(isStreamUp() ? POLL_MS : POLL_WITHOUT_STREAM_MS, random);
    if (this.#isPaused) return pace;
    // The rest is left for other agents. One at least, since a tombstone waits for nobody.
    const room = backlog - keeper.openCount();
    const max = Math.min(LEASES_MAX, Math.max(1, room));
    if (this.#looksAgainAt !== null && clock.monotonic() >= this.#looksAgainAt) this.#looksAgainAt = null;
    const taken = await this.#lease(max, signal);
    this.#isHungry = taken === max;
    if (this.#isHungry && room > max) return 0;
    return Math.min(pace, (this.#looksAgainAt ?? Infinity) - clock.monotonic());
  };

  /** Asks once, and answers how many it got. Where that fails, nobody knows whether there were some. */
  async #lease(max: number, signal: AbortSignal): Promise<number> {
    const { journal, coordinator, contact, clock } = this.#parts;
    const asked = clock.monotonic();
    try {
      const leases = await coordinator.leaseWork(max, signal, describeHeld(journal));
      contact.seen();
      if (leases.length > 0) await this.#take(leases, asked, signal);
      return leases.length;
    } catch (error) {
      this.#looksAgainAt = clock.monotonic() + LOST_LEASE_MS;
      throw error;
    }
  }

  /** `asked` is when we asked for them, on the monotonic clock: the wall clock may be set while we wait. */
  async #take(leases: readonly WireLease[], asked: number, signal: AbortSignal): Promise<void> {
    const { runner, keeper, coordinator, trust, pins, clock, log } = this.#parts;
    const signers = leases.flatMap(({ order }) => parseJws(order)?.kid ?? []);
    await pins.meet(signers, signal);
    const expected = { ...trust, ...pins.trust, nowMs: coordinator.serverNow() };
    const taken: LeasedOrder[] = [];
    const refused: { lease: WireLease; error: AppError }[] = [];
    for (const lease of leases) {
      try {
        const leased = readOrder(lease, expected, { askedAt: wallTimeOf(clock, asked) });
        assertNewEpoch(this.#parts.journal, leased.order);
        taken.push(leased);
      } catch (error) {
        if (!isAppError(error, 'ORDER_REFUSED')) throw error;
        refused.push({ lease, error });
      }
    }
    const accepted = this.#declineSome(taken);
    if (accepted.length > 0) {
      runner.receive(accepted);
      keeper.add(accepted.map(({ lease }) => lease));
      for (const { order } of accepted) {
        const { orderId: order_id, contractId: contract_id, kind, epoch } = order;
        log.info({ order_id, contract_id, kind, epoch }, 'order.accepted');
      }
    }
    for (const { lease, error } of refused) await this.#refuse(lease, error, signal);
  }

  /** Hands back what could only fail here, by way of the journal; answers the others. */
  #declineSome(taken: readonly LeasedOrder[]): LeasedOrder[] {
    const { journal, clock, log, conditions, onReturn } = this.#parts;
    const now = conditions();
    const accepted: LeasedOrder[] = [];
    for (const leased of taken) {
      const { order } = leased;
      const view = journal.contract(order.contractId);
      const takeover = decideTakeover(order.payload, view, this.#parts.here(order.contractId));
      const decline = takeover ?? decideDecline(order.kind, view, now);
      if (decline === null) {
        accepted.push(leased);
        continue;
      }
      const nothingMade = takeover === null && (view === null || hasMadeNothing(view, null));
      journal.write('order.declined', (writer) => {
        writer.saveOrder(order);
        writer.returnOrder(order, { ...decline, nothingMade, at: Math.round(clock.now()) });
      });
      log.warn({ order_id: order.orderId, contract_id: order.contractId, ...decline }, 'order.declined');
      onReturn();
    }
    return accepted;
  }

  /** Tells the coordinator once; where that fails the lease runs out by itself. Nothing of it enters the journal. */
  async #refuse(lease: WireLease, error: AppError, signal: AbortSignal): Promise<void> {
    const { journal, coordinator, log } = this.#parts;
    this.#refused += 1;
    const { order_id, contract_id, epoch } = lease;
    log.error({ order_id, contract_id, detail: error.message, remedy: error.remedy }, 'order.refused');
    const view = journal.contract(contract_id);
    const nothing_made = view === null || hasMadeNothing(view, null);
    const detail = toPlainText(error.message, RETURN_DETAIL_MAX);
    const body = { epoch, code: 'refused' as const, detail, nothing_made };
    try {
      await coordinator.returnWork(order_id, body, signal);
    } catch (failure) {
      if (!isAppError(failure)) throw failure;
      log.warn({ order_id, code: failure.code }, 'order.refused.untold');
    }
  }
}
