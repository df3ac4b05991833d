/**
 * Looks at the backend and remembers what it said of each contract: the eyes of the planner. Not being listed says
 * something only in a complete list, and for a reported instance only after the backend was asked for it (I5).
 */
import type { Clock } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { Journal } from '../journal/journal.ts';
import { jittered } from '../lib/backoff.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { Fingerprint, InstanceList, Provisioner } from '../provisioners/provisioner.ts';
import { findUnaccounted, isOurs, noteLook } from '../orphans/find-unaccounted.ts';
import type { Observed } from '../reconcile/plan-steps.ts';
import { FACTS, type BackendSeen } from './facts.ts';

/** A look costs little, and something that nobody ordered may wait a minute to be noticed. */
const LOOK_EVERY_MS = 60_000;
/** A backend that does not answer within this is one that does not answer. */
const LOOK_TIMEOUT_MS = 30_000;

const NEVER_LOOKED: Observed = {
  existence: { existence: 'unknown', reason: 'the backend has not been looked at yet' },
  at: 0,
};

export interface ObserverParts {
  readonly journal: Journal;
  readonly provisioner: Provisioner;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The seal that this agent gives to the contract's instance. */
  readonly sealFor: (contractId: string) => string;
  /** Called after every look, with the contracts of which something is at the backend. */
  readonly onLook: (seen: readonly string[]) => void;
}

export class BackendObserver {
  readonly #parts: ObserverParts;
  #listed = new Map<string, Observed>();
  /** For contracts that are not in `#listed`. */
  #others: Observed = NEVER_LOOKED;
  #fingerprint: Fingerprint | null = null;
  /** On the monotonic clock. */
  #lookedAt = -Infinity;
  #present: readonly string[] = [];
  #elsewhere: ReadonlySet<string> = new Set();
  #orphans = 0;
  #written = '';

  constructor(parts: ObserverParts) {
    this.#parts = parts;
  }

  /** What the backend last said of the contract's instance. */
  of(contractId: string): Observed {
    return this.#listed.get(contractId) ?? this.#others;
  }

  /** What the backend last said of itself; null before the first look. */
  get fingerprint(): Fingerprint | null {
    return this.#fingerprint;
  }

  /** When the look began that `fingerprint` and `presentContracts` are from, on the monotonic clock. */
  get lookedAt(): number {
    return this.#lookedAt;
  }

  /** The contracts of ours that the backend had something of then, whatever the fingerprint says is free besides. */
  get presentContracts(): readonly string[] {
    return this.#present;
  }

  /**
   * The coordinator said that these contracts are another agent's of this provider: what two agents on one backend
   * see of each other is no orphan. The next look counts so; until then the grace time protects it.
   */
  noteElsewhere(contractIds: readonly string[]): void {
    this.#elsewhere = new Set(contractIds);
  }

  /** One look after another. Never rejects for a backend that fails: that is an answer. */
  readonly turn: Turn = async (signal) => {
    await this.look(signal);
    return jittered(LOOK_EVERY_MS, this.#parts.random);
  };

  /** Looks once. */
  async look(signal: AbortSignal): Promise<void> {
    const { clock, provisioner, onLook } = this.#parts;
    const startedAt = Math.round(clock.now());
    const began = clock.monotonic();
    // One after the other: what is made in between is not in the list, and so counts twice rather than never.
    const list = await this.#within(signal, (limited) => provisioner.list(limited)).catch((error: unknown) =>
      this.#unlisted(error),
    );
    const fingerprint = await this.#within(signal, (limited) => provisioner.fingerprint(limited)).catch(
      (error: unknown) => this.#unhealthy(error),
    );
    if (signal.aborted) return;
    this.#fingerprint = fingerprint;
    this.#lookedAt = began;
    await this.#within(signal, (limited) => this.#remember(list, startedAt, limited));
    this.#write();
    onLook(this.#present);
  }

  /** Does it with a deadline. */
  async #within<T>(signal: AbortSignal, work: (limited: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController();
    const cancel = this.#parts.clock.schedule(LOOK_TIMEOUT_MS, () => deadline.abort());
    try {
      return await work(AbortSignal.any([signal, deadline.signal]));
    } finally {
      cancel();
    }
  }

  async #remember(list: InstanceList, at: number, signal: AbortSignal): Promise<void> {
    const { journal, provisioner, log } = this.#parts;
    const listed = new Map<string, Observed>();
    for (const instance of list.instances) {
      if (instance.contractId === null || !isOurs(instance, this.#parts)) continue;
      listed.set(instance.contractId, { existence: { existence: 'present', instance }, at });
    }
    const missing = journal
      .instances(['running', 'stopped'])
      .filter(({ contractId }) => !listed.has(contractId));
    for (const { contractId, handle } of missing) {
      if (handle === null) continue;
      const existence = await provisioner.inspect(handle, signal).catch((error: unknown) => ({
        existence: 'unknown' as const,
        reason: errorCode(error),
      }));
      listed.set(contractId, { existence, at });
      if (existence.existence === 'absent') log.warn({ contract_id: contractId }, 'instance.missing');
    }
    this.#listed = listed;
    this.#present = [...listed].flatMap(([id, { existence }]) =>
      existence.existence === 'present' ? [id] : [],
    );
    this.#others = {
      existence: list.complete
        ? { existence: 'absent', evidence: 'a complete list of the backend does not hold it' }
        : { existence: 'unknown', reason: list.problem ?? 'the list of the backend is not complete' },
      at,
    };
    this.#noteUnaccounted(list, at);
  }

  /** Remembers what the journal cannot account for. Nobody touches it because of that. */
  #noteUnaccounted({ instances, complete }: InstanceList, now: number): void {
    const { journal, sealFor, log } = this.#parts;
    const isKnown = (contractId: string): boolean => journal.contract(contractId) !== null;
    const isElsewhere = (contractId: string): boolean => this.#elsewhere.has(contractId);
    const found = findUnaccounted(instances, { sealFor, isKnown, isElsewhere });
    const { saved, removed } = noteLook(journal.unaccounted(), found, { now, listed: instances, complete });
    if (saved.length + removed.length > 0) {
      journal.write('backend.unaccounted', (writer) => {
        for (const instance of saved) writer.saveUnaccounted(instance);
        for (const id of removed) writer.removeUnaccounted(id);
      });
    }
    const orphans = found.filter(({ kind }) => kind === 'orphan').map(({ id }) => id);
    if (orphans.length > this.#orphans) log.warn({ handles: orphans }, 'backend.orphans.found');
    this.#orphans = orphans.length;
  }

  /** Tells `status` and `doctor`, where something changed. */
  #write(): void {
    const { journal, provisioner, clock, log } = this.#parts;
    if (this.#fingerprint === null) return;
    const { healthy, why } = this.#fingerprint;
    const said = JSON.stringify([healthy, why, this.#orphans]);
    if (said === this.#written) return;
    this.#written = said;
    const at = new Date(clock.now()).toISOString();
    const seen: BackendSeen = { kind: provisioner.kind, healthy, why, at, orphans: this.#orphans };
    journal.write('backend.seen', (writer) => writer.setFact(FACTS.backend, JSON.stringify(seen)));
    if (healthy) log.info({ why }, 'backend.healthy');
    else log.warn({ why }, 'backend.unhealthy');
  }

  #unhealthy(error: unknown): Fingerprint {
    this.#parts.log.debug({ err: error }, 'backend.fingerprint.failed');
    return { healthy: false, why: `The backend does not answer (${errorCode(error)}).`, freeCapacity: null };
  }

  #unlisted(error: unknown): InstanceList {
    this.#parts.log.debug({ err: error }, 'backend.list.failed');
    return { complete: false, instances: [], problem: `it cannot be listed (${errorCode(error)})` };
  }
}

const errorCode = (error: unknown): string => (isAppError(error) ? error.code : 'INTERNAL_BUG');
