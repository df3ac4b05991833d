/**
 * What was last read of each contract, until something is written of it. A journal has one writing process, so that
 * what it has read itself can only change by what it writes itself.
 */
import type { JournalInstance, JournalOrder, Lease, SagaView } from './journal.ts';

/** What is remembered of one contract. */
export interface Remembered {
  orders?: readonly JournalOrder[];
  lease?: Lease | null;
  sagas?: readonly SagaView[];
  instance?: JournalInstance | null;
  pausedAt?: number | null;
  /** Whether the lease under this epoch is needed. */
  needed?: { readonly epoch: number; readonly isNeeded: boolean };
}

/** Contracts at work are some hundreds; after that many everything is read anew. */
const CONTRACTS_MAX = 5_000;

export class ContractMemory {
  readonly facts = new Map<string, string | null>();
  readonly #contracts = new Map<string, Remembered>();
  readonly #sagas = new Map<string, string>();

  /** What is known of it, to be filled in. */
  of(contractId: string): Remembered {
    const known = this.#contracts.get(contractId);
    if (known !== undefined) return known;
    if (this.#contracts.size >= CONTRACTS_MAX) this.forgetAll();
    const empty: Remembered = {};
    this.#contracts.set(contractId, empty);
    return empty;
  }

  /** The contract of a saga, as far as it is known. */
  contractOf(sagaId: string): string | undefined {
    return this.#sagas.get(sagaId);
  }

  learnSaga(sagaId: string, contractId: string): void {
    this.#sagas.set(sagaId, contractId);
  }

  /** Follows what was just written of a saga. */
  changeSaga(sagaId: string, change: (saga: SagaView) => SagaView): void {
    // Where the saga is not known, it is not among those that are remembered: they tell their names.
    const known = this.#contracts.get(this.#sagas.get(sagaId) ?? '');
    if (known?.sagas === undefined) return;
    known.sagas = known.sagas.map((saga) => (saga.sagaId === sagaId ? change(saga) : saga));
  }

  /** The saga's contract may not need its lease any more. */
  forgetNeed(sagaId: string): void {
    const contractId = this.#sagas.get(sagaId);
    if (contractId === undefined) this.forgetAll();
    else this.forget(contractId, 'needed');
  }

  forget(contractId: string, ...parts: readonly (keyof Remembered)[]): void {
    const known = this.#contracts.get(contractId);
    for (const part of parts) delete known?.[part];
  }

  forgetAll(): void {
    this.facts.clear();
    this.#contracts.clear();
    this.#sagas.clear();
  }
}
