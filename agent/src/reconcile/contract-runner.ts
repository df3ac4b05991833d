/**
 * Brings contracts to where their orders want them: plans, carries the plan out, and plans again whenever
 * something happened. Nothing here polls: it is woken by orders, leases, observations, ends of sagas, and times
 * that are in the journal.
 *
 * INVARIANTS:
 * - One saga at a time for a contract; what runs is stopped and awaited before anything else begins for it.
 * - A tombstone and an undo never wait for a slot.
 */
import type { CancelTimer, Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { Journal, JournalOrder, Lease } from '../journal/journal.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Rest, SagaEngine } from '../sagas/run-saga.ts';
import type { SagaLog } from '../sagas/saga.ts';
import { desiredOf } from './desired.ts';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import { executeStep, type StepServices } from './execute-step.ts';
import { explain } from './explain.ts';
import { type Observed, planSteps, type Situation } from './plan-steps.ts';
import type { Step } from './step.ts';

/** What the runner works with. */
export interface RunnerParts {
  readonly journal: Journal;
  readonly engine: SagaEngine;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: SagaLog;
  /** How many contracts are worked on at once at one backend; releases come on top. At least 1. */
  readonly slots: number;
  /** The backend that a contract is on. */
  readonly laneOf: (contractId: string) => string;
  /** What the backend last said of the contract's instance: the same object until somebody has looked again. */
  readonly observed: (contractId: string) => Observed;
  /** Called when something to deliver was committed. */
  readonly onOutbox: () => void;
}

/** An order with the lease that it came with. */
export interface LeasedOrder {
  readonly order: Omit<JournalOrder, 'returned'>;
  readonly lease: Lease;
}

/** A saga at work. */
interface Running {
  readonly sagaId: string;
  /** Null for one that takes no slot. */
  readonly lane: string | null;
  readonly controller: AbortController;
}

/** A plan that asks for so many steps at once does not come to an end. */
const TURNS_MAX = 20;
/** An undo and a release make two. More than this many sagas in a row, with nothing new from outside, are a bug. */
const ENDS_MAX = 10;
const NOT_SEEN: Observed = { existence: { existence: 'unknown', reason: 'nobody has looked since' }, at: 0 };
/** After an error that no saga can record: the journal's disk is full, or a bug. */
const CRASH_BACKOFF = { baseMs: 1_000, capMs: 60_000 };

/** Made once, by the wiring. */
export class ContractRunner {
  readonly #parts: RunnerParts;
  readonly #services: StepServices;
  readonly #running = new Map<string, Running>();
  readonly #timers = new Map<string, CancelTimer>();
  /** Contracts that wait for a slot, first come first served. */
  readonly #queue = new Set<string>();
  readonly #crashes = new Map<string, number>();
  /** Sagas that have ended since anything came from outside. */
  readonly #ends = new Map<string, number>();
  /** What was seen of a contract before its last saga ended: it says nothing about the time after. */
  readonly #outdated = new Map<string, Observed>();
  /** Contracts with something to do that does not go on, and since when. */
  readonly #blocked = new Map<string, number>();
  #onIdle: (() => void)[] = [];
  #isStopped = false;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    const { journal, clock, engine, onOutbox } = parts;
    this.#services = {
      journal,
      clock,
      engine,
      onOutbox,
      runSaga: (contractId, sagaId) => this.#run(contractId, sagaId),
      wakeAt: (contractId, at) => this.#wakeAt(contractId, at),
      wakeOnSlot: (contractId) => void this.#queue.add(contractId),
    };
  }

  /**
   * Takes verified orders with their leases, and starts on them. All of it is one commit: the orders, and the start
   * of the first step for each contract. An order that is held already changes nothing. Throws where the journal
   * cannot be written; then none was taken.
   */
  receive(leased: readonly LeasedOrder[]): void {
    const contractIds = new Set(leased.map(({ order }) => order.contractId));
    this.#parts.journal.write('orders.received', (writer) => {
      for (const { order, lease } of leased) {
        writer.saveOrder(order);
        writer.saveLease(lease);
      }
      this.#begin(contractIds);
    });
    for (const contractId of contractIds) this.nudge(contractId);
  }

  /** Keeps renewed leases. */
  renew(leases: readonly Lease[]): void {
    this.#parts.journal.write('leases.renewed', (writer) => {
      for (const lease of leases) writer.saveLease(lease);
    });
    for (const { contractId } of leases) this.nudge(contractId);
  }

  /** The coordinator said that the lease under `epoch` is not ours any more: work on the contract stops at once. */
  lose(contractId: string, epoch: number): void {
    const lease = this.#parts.journal.lease(contractId);
    if (lease?.epoch !== epoch) return;
    this.#parts.journal.write('lease.lost', (writer) => writer.saveLease({ ...lease, lost: true }));
    this.nudge(contractId);
  }

  /**
   * Plans every contract that is not at its end: once at the start, and after the backend was looked at. `seen` are
   * those that have something there, which may have turned up after their end.
   */
  nudgeAll(seen: Iterable<string> = []): void {
    const contractIds = new Set([...this.#parts.journal.contractIds('live'), ...seen]);
    for (const contractId of contractIds) this.nudge(contractId);
  }

  /** Plans this contract now, and carries the plan out. Cheap where there is nothing to do. */
  nudge(contractId: string): void {
    this.#ends.delete(contractId);
    this.#wake(contractId);
  }

  #wake(contractId: string): void {
    if (this.#isStopped) return;
    this.#timers.get(contractId)?.();
    this.#timers.delete(contractId);
    try {
      this.#settle(contractId);
    } catch (error) {
      this.#onCrash(contractId, error);
    }
  }

  /** How many sagas are at work. */
  get activeCount(): number {
    return this.#running.size;
  }

  /** Whether one more saga may go forward for the contract. */
  hasSlot(contractId: string): boolean {
    const lane = this.#parts.laneOf(contractId);
    const taken = [...this.#running].filter(
      ([id, running]) => running.lane === lane && id !== contractId,
    ).length;
    return taken < this.#parts.slots;
  }

  /** Resolves when no saga is at work. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Stops every saga where it is, and resolves when all have stopped. They stay open. Idempotent. */
  stop(): Promise<void> {
    this.#isStopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#queue.clear();
    for (const { controller } of this.#running.values()) controller.abort();
    return this.idle();
  }

  /** Starts what the plans of these contracts begin with, as far as there are slots; the rest waits for its turn. */
  #begin(contractIds: Iterable<string>): void {
    const begun = new Map<string, number>();
    for (const contractId of contractIds) {
      const [first] = this.#isStopped || this.#running.has(contractId) ? [] : this.#plan(contractId);
      if (first?.name !== 'startSaga') continue;
      const lane = this.#parts.laneOf(contractId);
      const taken = this.#taken(lane, contractId) + (begun.get(lane) ?? 0);
      const takesSlot = this.#parts.engine.needsLease(first.saga);
      if (takesSlot && taken >= this.#parts.slots) continue;
      if (takesSlot) begun.set(lane, (begun.get(lane) ?? 0) + 1);
      executeStep(this.#services, first);
    }
  }

  /** How many other contracts take a slot at this backend. */
  #taken(lane: string, besides: string): number {
    return [...this.#running].filter(([id, running]) => running.lane === lane && id !== besides).length;
  }

  /** Why the contract is where it is; null where there is no order for it. */
  explain(contractId: string): WireExplanation | null {
    const situation = this.#situation(contractId);
    return situation === null ? null : explain(situation);
  }

  /** Why up to `limit` contracts do not go on, those that have waited longest first. */
  explainBlocked(limit: number): WireExplanation[] {
    const longest = [...this.#blocked].toSorted((a, b) => a[1] - b[1]).slice(0, limit);
    return longest.flatMap(([contractId]) => {
      const explanation = this.explain(contractId);
      return explanation === null || explanation.blocked_by === null ? [] : [explanation];
    });
  }

  #plan(contractId: string): Step[] {
    const situation = this.#situation(contractId);
    return situation === null ? [] : planSteps(situation);
  }

  #situation(contractId: string): Situation | null {
    const { journal, clock, engine, observed } = this.#parts;
    const view = journal.contract(contractId);
    if (view === null) return null;
    return {
      view,
      desired: desiredOf(view),
      observed: this.#isOutdated(contractId) ? NOT_SEEN : observed(contractId),
      now: clock.now(),
      definitionOf: (saga) => engine.definitionOf(saga),
      slotFree: this.hasSlot(contractId),
    };
  }

  /** Whether nobody has looked since the contract's last saga ended. By identity: the wall clock may be set back. */
  #isOutdated(contractId: string): boolean {
    const outdated = this.#outdated.get(contractId);
    if (outdated === undefined) return false;
    if (outdated === this.#parts.observed(contractId)) return true;
    this.#outdated.delete(contractId);
    return false;
  }

  #settle(contractId: string): void {
    for (let turn = 0; turn < TURNS_MAX; turn += 1) {
      const steps = this.#plan(contractId);
      const waiting = steps.find((step) => step.name === 'wait');
      if (waiting === undefined) this.#blocked.delete(contractId);
      else this.#blocked.set(contractId, waiting.since);
      const waitsForSlot = steps.some((step) => step.name === 'wait' && step.reason === 'waiting_for_slot');
      if (!waitsForSlot) this.#queue.delete(contractId);
      const running = this.#running.get(contractId);
      if (running !== undefined) {
        const [first] = steps;
        const goesOn = first?.name === 'resumeSaga' && first.sagaId === running.sagaId;
        if (!goesOn) running.controller.abort();
        else if (first.until !== null) this.#wakeAt(contractId, first.until);
        return; // Its end plans again.
      }
      const results = steps.map((step) => executeStep(this.#services, step));
      if (!results.includes('plan_again')) return;
    }
    throw new Error(`the plan for contract ${contractId} does not come to an end`);
  }

  #run(contractId: string, sagaId: string): void {
    const { engine, journal, laneOf } = this.#parts;
    const controller = new AbortController();
    const takesSlot = engine.needsLease(journal.saga(sagaId)?.name ?? '');
    this.#running.set(contractId, { sagaId, controller, lane: takesSlot ? laneOf(contractId) : null });
    engine.advance(sagaId, controller.signal).then(
      (rest) => this.#onRest(contractId, rest),
      (error: unknown) => this.#onEnd(contractId, () => this.#onCrash(contractId, error)),
    );
  }

  #onRest(contractId: string, { rest }: Rest): void {
    this.#crashes.delete(contractId);
    if (rest !== 'finished') {
      this.#onEnd(contractId, () => this.#wake(contractId));
      return;
    }
    const ends = (this.#ends.get(contractId) ?? 0) + 1;
    this.#ends.set(contractId, ends);
    this.#outdated.set(contractId, this.#parts.observed(contractId));
    const isRestless = ends > ENDS_MAX;
    const unrest = new Error(`contract ${contractId} does not come to rest: ${String(ends)} sagas in a row`);
    this.#onEnd(contractId, () => (isRestless ? this.#onCrash(contractId, unrest) : this.#wake(contractId)));
  }

  #onEnd(contractId: string, goOn: () => void): void {
    this.#running.delete(contractId);
    // Whoever waits comes before what this contract may want next.
    for (const waiting of [...this.#queue]) {
      if (this.hasSlot(waiting)) this.#wake(waiting);
    }
    goOn();
    if (this.#running.size > 0) return;
    const resolvers = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of resolvers) resolve();
  }

  /** Nothing is lost: what was not committed was not done. It is tried again, later each time. */
  #onCrash(contractId: string, error: unknown): void {
    const crashes = (this.#crashes.get(contractId) ?? 0) + 1;
    this.#crashes.set(contractId, crashes);
    const delayMs = backoffMs(crashes, CRASH_BACKOFF, this.#parts.random, error);
    this.#parts.log.error(
      { contract_id: contractId, err: error, retry_in_ms: delayMs },
      'contract.plan.crashed',
    );
    if (!this.#isStopped) this.#wakeAt(contractId, this.#parts.clock.now() + delayMs);
  }

  #wakeAt(contractId: string, at: number): void {
    const { clock } = this.#parts;
    this.#timers.get(contractId)?.();
    const cancel = clock.schedule(at - clock.now(), () => this.#wake(contractId));
    this.#timers.set(contractId, cancel);
  }
}
