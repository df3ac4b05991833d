/** What all nodes of a simulation share: time, chance, the trace, and the count of what went wrong on purpose. */
import { Dice } from './dice.ts';
import { Trace } from './trace.ts';
import { VirtualTime } from './virtual-time.ts';

/** Classic mistakes, planted in the agents to see whether the simulation notices. */
export const PLANTED_BUGS = ['adopts_unsealed', 'error_is_absent', 'no_fencing', 'writes_late'] as const;
export type PlantedBug = (typeof PLANTED_BUGS)[number];

/** An invariant was broken. Ends the simulation. */
export class Violation extends Error {}

/** One simulated world. */
export class World {
  readonly time = new VirtualTime();
  readonly trace = new Trace();
  readonly dice: Dice;
  /** A folder of this world's own, in memory where the system has such. */
  readonly folder: string;
  readonly bug: PlantedBug | null;
  /** How often each fault struck. */
  readonly faults = new Map<string, number>();
  /** Passwords that were made: nothing that leaves an agent may hold one. */
  readonly secrets = new Set<string>();
  /** Contracts that a coordinator forgot because an older backup was restored. */
  readonly lost = new Set<string>();
  /** False once the faults have stopped. */
  isFaulty = true;
  #violation: Violation | null = null;

  constructor(seed: number, folder: string, bug: PlantedBug | null) {
    this.dice = new Dice(`seed ${String(seed)}`);
    this.folder = folder;
    this.bug = bug;
  }

  note(who: string, what: string): void {
    this.trace.add(this.time.now, who, what);
  }

  /** Counts a fault that strikes now. */
  fault(kind: string, who: string, what = ''): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.note(who, `✗ ${kind}${what === '' ? '' : ` (${what})`}`);
  }

  /** Says that an invariant is broken. The first one counts; it is thrown by `assertSound`, where nobody catches it. */
  violate(invariant: string, what: string): void {
    this.note('VIOLATION', `${invariant}: ${what}`);
    this.#violation ??= new Violation(`${invariant}: ${this.trace.shorten(what)}`);
  }

  assertSound(): void {
    if (this.#violation !== null) throw this.#violation;
  }
}
