/**
 * What was last read of each contract, until something is written of it. A journal has one writing process, so that
 * what it has read itself can only change by what it writes itself.
 */
import type { ContractView } from './journal.ts';

/** What is remembered of one contract. */
export interface Remembered {
  view?: ContractView | null;
  /** Whether the lease under this epoch is needed. */
  lease?: { readonly epoch: number; readonly isNeeded: boolean };
}

/** Contracts at work are some hundreds; after that many everything is read anew. */
const CONTRACTS_MAX = 5_000;

export class ContractMemory {
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

  forget(contractId: string): void {
    this.#contracts.delete(contractId);
  }

  forgetSaga(sagaId: string): void {
    const contractId = this.#sagas.get(sagaId);
    if (contractId === undefined) this.forgetAll();
    else this.forget(contractId);
  }

  forgetAll(): void {
    this.#contracts.clear();
    this.#sagas.clear();
  }
}
