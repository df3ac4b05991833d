/**
 * A backend that lives in memory: the objects that a MemoryProvisioner works on, and the faults that a test or a
 * simulation wants to see. It outlives the driver, as a real backend outlives the agent.
 */
import type { Json } from '../provisioner.ts';

/** What a fault can strike. */
export type MemoryOperation =
  | 'fingerprint'
  | 'create'
  | 'inspect'
  | 'start'
  | 'stop'
  | 'destroy'
  | 'list'
  | 'setPassword'
  | 'rotateSshKey';

/**
 * What goes wrong, once:
 * - `error`: nothing is done, PROVISIONER_UNAVAILABLE.
 * - `done_but_failed`: the work is done, and PROVISIONER_FAILED is the answer.
 * - `reply_lost`: the work is done, and no answer comes until the caller gives up.
 * - `late`: the work is done and answered after `delayMs`, whether or not the caller still waits.
 * - `incomplete`: `list` leaves instances out and says so.
 */
export type MemoryFault =
  | { readonly on: MemoryOperation; readonly what: 'error' | 'done_but_failed' | 'reply_lost' }
  | { readonly on: MemoryOperation; readonly what: 'late'; readonly delayMs: number }
  | { readonly on: 'list'; readonly what: 'incomplete' };

/** One machine, as the backend knows it. */
export interface MemoryObject {
  readonly id: string;
  seal: string | null;
  readonly contractId: string;
  readonly token: string;
  readonly port: number;
  readonly spec: Readonly<Record<string, Json>>;
  power: 'running' | 'stopped';
  /** The one password that opens it; null before there is one. */
  login?: { readonly user: string; readonly password: string };
  /** The renter's key since it was changed; `spec` has the first. */
  sshPublicKey?: string;
}

const FIRST_PORT = 20_000; // Nothing listens there: it only has to look like a port and differ for each object.

/** Everything at the backend. */
export class MemoryBackend {
  readonly objects = new Map<string, MemoryObject>();
  /** What distinguishes it from another backend. */
  id = 'memory-1';
  instancesMax: number;
  readonly #faults: MemoryFault[] = [];
  #nextPort = FIRST_PORT;

  constructor(instancesMax = 1_000) {
    this.instancesMax = instancesMax;
  }

  /** Makes the next call of `fault.on` go wrong. Faults for one operation strike in the order given. */
  inject(fault: MemoryFault): void {
    this.#faults.push(fault);
  }

  /** Takes the fault that the next call of `operation` shall meet, if any. */
  takeFault(operation: MemoryOperation): MemoryFault | undefined {
    const index = this.#faults.findIndex((fault) => fault.on === operation);
    return index < 0 ? undefined : this.#faults.splice(index, 1)[0];
  }

  takePort(): number {
    return this.#nextPort++;
  }
}
