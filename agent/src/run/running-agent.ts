/**
 * The life of an agent: start, run until something ends it, drain, stop. It knows its parts only by what it has to do
 * with them; wiring.ts makes them.
 */
import { sleep, type Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import type { ControlParts, ControlServer } from '../control/control-server.ts';
import type { AvailabilityChange } from '../availability/availability.ts';
import { confirmReleases } from '../breaker/destruction-breaker.ts';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../lib/log.ts';
import { runLoop, type Turn } from '../lib/loop.ts';
import type { Nudge } from '../lib/nudge.ts';
import type { ControlRequest } from '../control/control-request.ts';
import type { BackoffLimits } from '../lib/backoff.ts';
import type { Provisioner } from '../provisioners/provisioner.ts';
import type { ContractRunner } from '../reconcile/contract-runner.ts';
import type { Contact } from './contact.ts';
import { FACTS, type RunningProcess } from './facts.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import type { BackendObserver } from './observe-backend.ts';
import type { StreamLoop } from './stream-loop.ts';
import { VERSION } from './version.ts';
import type { WorkLoop } from './work-loop.ts';

/** Something that is repeated for as long as the agent runs. */
export interface Loop {
  readonly name: string;
  readonly turn: Turn;
  readonly nudge: Nudge;
  readonly backoff: BackoffLimits;
}

/** What a running agent consists of. */
export interface AgentParts {
  readonly journal: Journal;
  readonly provisioner: Provisioner;
  readonly coordinator: Coordinator;
  readonly runner: ContractRunner;
  readonly keeper: LeaseKeeper;
  readonly observer: BackendObserver;
  readonly contact: Contact;
  readonly work: WorkLoop;
  readonly stream: StreamLoop;
  readonly loops: readonly Loop[];
  readonly destroyOrphan: (id: string, signal: AbortSignal) => Promise<void>;
  /** Answers 1, or 0 where it already was so. */
  readonly changeAvailability: (change: AvailabilityChange) => number;
  /** Sends what waits in the outbox. */
  readonly flush: () => void;
}

export interface AgentOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How long running work may go on once the agent drains. */
  readonly drainMs: number;
  /** Listens for the operator's commands; null where nobody can give any. */
  readonly openControl: (handle: ControlParts['handle']) => Promise<ControlServer | null>;
}

/** How an agent is, for tests and for whoever runs several in one process. */
export interface AgentStatus {
  readonly phase: 'new' | 'running' | 'draining' | 'stopped';
  readonly isStreamUp: boolean;
  /** Milliseconds since the epoch; null where the coordinator has not answered yet. */
  readonly lastContactAt: number | null;
  readonly atWork: number;
  readonly refusedOrders: number;
}

/** What is left in the outbox gets this long at the end; the rest goes out after the next start. */
const FLUSH_MS_MAX = 5_000;
const FLUSH_LOOK_MS = 20;

export class RunningAgent {
  readonly #options: AgentOptions;
  readonly #assemble: () => Promise<AgentParts>;
  readonly #controller = new AbortController();
  readonly #failure = Promise.withResolvers<unknown>();
  #parts: AgentParts | null = null;
  #loops: Promise<void>[] = [];
  #control: ControlServer | null = null;
  #phase: AgentStatus['phase'] = 'new';
  #stopping: Promise<void> | null = null;

  constructor(options: AgentOptions, assemble: () => Promise<AgentParts>) {
    this.#options = options;
    this.#assemble = assemble;
  }

  /**
   * Opens everything, takes up what the journal says was begun, and starts the loops. Once only. Rejects with what
   * is in the way (CONFIG_INVALID, KEY_FILE_UNSAFE, DATABASE_LOCKED, DATABASE_NEWER, JOURNAL_CORRUPT, …), and has
   * then closed what it had opened.
   */
  async start(): Promise<void> {
    const { clock, log, openControl } = this.#options;
    const { signal } = this.#controller;
    const parts = await this.#assemble();
    this.#parts = parts;
    this.#phase = 'running';
    try {
      const me: RunningProcess = {
        pid: process.pid,
        version: VERSION,
        started_at: new Date(clock.now()).toISOString(),
      };
      parts.journal.write('agent.started', (writer) => {
        writer.setFact(FACTS.process, JSON.stringify(me));
        writer.setFact(FACTS.stoppedBecause, '');
      });
      parts.keeper.restore(); // First: the look at the backend sets the runner to work.
      await parts.observer.look(signal);
      parts.runner.nudgeAll();
      this.#loops = parts.loops.map((loop) => this.#run(loop));
      this.#control = await openControl((request) => this.#obey(request));
    } catch (error) {
      await this.stop();
      throw error;
    }
    log.info({ version: VERSION, journal_id: parts.journal.journalId }, 'agent.started');
  }

  /** Resolves with what made the agent end itself: a bug, or an error that no repeating mends. */
  get failure(): Promise<unknown> {
    return this.#failure.promise;
  }

  /**
   * Takes no new work, lets what runs get on for a while, parks the rest, sends what is left in the outbox, and
   * stops. Instances stay. Idempotent.
   */
  async drain(): Promise<void> {
    const parts = this.#parts;
    if (parts === null || this.#phase !== 'running') return this.stop();
    this.#phase = 'draining';
    const { clock, log, drainMs } = this.#options;
    const { signal } = this.#controller;
    log.info({ at_work: parts.runner.activeCount }, 'agent.draining');
    parts.work.pause();
    const done = new AbortController();
    const patience = sleep(clock, drainMs, AbortSignal.any([signal, done.signal])).catch(() => undefined);
    await Promise.race([parts.runner.idle(), patience]);
    done.abort();
    await parts.runner.stop();
    await this.#flush(parts);
    await this.stop();
  }

  /** Stops at once: work is parked where it is, the outbox stays as it is. Instances stay. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  status(): AgentStatus {
    const parts = this.#parts;
    return {
      phase: this.#phase,
      isStreamUp: parts?.stream.isUp ?? false,
      lastContactAt: parts?.contact.lastSeenAt ?? null,
      atWork: parts?.runner.activeCount ?? 0,
      refusedOrders: parts?.work.refusedCount ?? 0,
    };
  }

  /**
   * The operator has looked at these waiting releases: they go on. Returns how many of them still waited; others are
   * not touched. Throws AGENT_STOPPED where the agent does not run.
   */
  confirm(sagaIds: readonly string[]): number {
    const { journal, runner } = this.#running();
    const { clock, log } = this.#options;
    const contractIds = confirmReleases(journal, sagaIds, clock.now());
    log.info({ contract_ids: contractIds }, 'destruction.confirmed');
    for (const contractId of contractIds) runner.nudge(contractId);
    return contractIds.length;
  }

  /**
   * The operator wants this orphan destroyed. Resolves when it is gone. Throws what `destroyOrphan` throws, and
   * AGENT_STOPPED where the agent does not run.
   */
  async destroyOrphan(id: string): Promise<void> {
    const { destroyOrphan } = this.#running();
    await destroyOrphan(id, this.#controller.signal);
    this.#options.log.info({ handle: id }, 'orphan.destroyed');
  }

  /**
   * The operator wants new work to come no more, or again. Answers 1, or 0 where it already was so. Throws
   * AGENT_STOPPED where the agent does not run.
   */
  changeAvailability(change: AvailabilityChange): number {
    const changed = this.#running().changeAvailability(change);
    if (changed > 0) this.#options.log.info({ ...change }, 'availability.changed');
    return changed;
  }

  /**
   * The operator wants a new password made for a contract's instance: asks the coordinator for the order, which comes
   * as any other. Throws CONTRACT_NOT_FOUND where no instance of it runs here, what the coordinator says, and
   * AGENT_STOPPED where the agent does not run.
   */
  async requestPasswordReset(contractId: string): Promise<void> {
    const { journal, coordinator } = this.#running();
    if (journal.contract(contractId)?.instance?.phase !== 'running')
      throw new AppError('CONTRACT_NOT_FOUND', 'This agent holds no running instance for the contract.', {
        remedy: 'dc-agent status lists the contracts of this agent.',
      });
    await coordinator.requestPasswordReset(contractId, this.#controller.signal);
    this.#options.log.info({ contract_id: contractId }, 'password_reset.requested');
  }

  /** Why a contract is where it is. Throws CONTRACT_NOT_FOUND, and AGENT_STOPPED where the agent does not run. */
  explain(contractId: string): WireExplanation {
    const explanation = this.#running().runner.explain(contractId);
    if (explanation === null) throw new AppError('CONTRACT_NOT_FOUND');
    return explanation;
  }

  async #obey(request: ControlRequest): Promise<number | WireExplanation> {
    switch (request.command) {
      case 'why':
        return this.explain(request.contract_id);
      case 'reset_password':
        await this.requestPasswordReset(request.contract_id);
        return 1;
      case 'confirm':
        return this.confirm(request.saga_ids);
      case 'availability':
        return this.changeAvailability({
          draining: request.draining,
          maintenanceUntil: request.maintenance_until,
        });
      case 'destroy_orphan':
        await this.destroyOrphan(request.id);
        return 1;
    }
  }

  #running(): AgentParts {
    if (this.#parts === null || this.#phase !== 'running') throw new AppError('AGENT_STOPPED');
    return this.#parts;
  }

  async #run({ name, turn, nudge, backoff }: Loop): Promise<void> {
    const { clock, random, log } = this.#options;
    const { signal } = this.#controller;
    try {
      await runLoop(turn, { name, clock, random, log, nudge, backoff, signal });
    } catch (error) {
      this.#fail(name, error);
    }
  }

  /** Says why, where `dc-agent status` finds it. Whoever runs the agent stops it. */
  #fail(loop: string, error: unknown): void {
    const { clock, log } = this.#options;
    log.error({ loop, err: error }, 'agent.failed');
    this.#failure.resolve(error);
    const [code, detail, remedy] = isAppError(error)
      ? [error.code, error.message, error.remedy]
      : ['INTERNAL_BUG', 'A bug ended the agent.', 'See the log.'];
    const reason = JSON.stringify({ code, detail, remedy, at: new Date(clock.now()).toISOString() });
    this.#tell(FACTS.stoppedBecause, reason);
  }

  /** Leaves a word for `dc-agent status`. The journal may be the very thing that fails: then the log has it. */
  #tell(fact: string, value: string): void {
    try {
      this.#parts?.journal.write('agent.tell', (writer) => writer.setFact(fact, value));
    } catch (error) {
      this.#options.log.error({ fact, value, err: error }, 'journal.unwritten');
    }
  }

  async #flush({ journal, flush }: AgentParts): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#controller;
    const deadline = clock.monotonic() + FLUSH_MS_MAX;
    const isEmpty = (): boolean =>
      journal.undeliveredRecords(1).length === 0 && journal.undeliveredReturns(1).length === 0;
    flush();
    while (!isEmpty() && clock.monotonic() < deadline && !signal.aborted) {
      await sleep(clock, FLUSH_LOOK_MS, signal).catch(() => undefined); // The loop looks at the signal.
    }
    if (!isEmpty()) log.warn({}, 'outbox.left');
  }

  async #stop(): Promise<void> {
    const { log } = this.#options;
    const parts = this.#parts;
    this.#controller.abort();
    this.#phase = 'stopped';
    if (parts === null) return;
    await Promise.all(this.#loops);
    await this.#control?.close();
    await parts.runner.stop();
    await parts.keeper.idle();
    await parts.coordinator.close();
    await parts.provisioner.close();
    this.#tell(FACTS.process, '');
    parts.journal.close();
    log.info({}, 'agent.stopped');
  }
}
