/** What a simulator is started with. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { StorageOptions } from './cluster/storages.ts';
import type { Timing } from './cluster/timing.ts';
import type { FaultScript } from './faults/fault-script.ts';
import type { GuestBackend, MachineSpec } from './guests/machine.ts';
import type { OfficialSchema } from './official-schema/official-schema.ts';
import type { DhcpLease } from './guests/simulated-guests.ts';
import type { GuestBehaviour } from './guests/simulated-machine.ts';

/** Everything has a default but the ports to time and chance. */
export interface PveSimulatorOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** `7.4`, `8.4` (default) or `9.1`. */
  readonly version?: string;
  /** How many nodes (pve1, pve2, …), or which. Default: 1. */
  readonly nodes?: number | readonly NodeOptions[];
  /** Default: `local` (dir) and `local-lvm` (lvmthin) on every node. */
  readonly storages?: readonly StorageOptions[];
  /** Over QUICK. */
  readonly timing?: Partial<Timing>;
  /** Where the API listens. Default: a free port. */
  readonly port?: number;
  /** The port of every guest's SSH server, each at its own 127.x address. Default: 2222. */
  readonly guestSshPort?: number;
  /** What goes wrong, and when. */
  readonly faults?: FaultScript;
  /** How guests behave. Default: they work. */
  readonly behaviourOf?: (spec: MachineSpec) => GuestBehaviour;
  /** Called whenever the guests' DHCP server gives an address. */
  readonly onLease?: (lease: DhcpLease) => void;
  /** The vendor's description: a request or an answer that contradicts it is answered with 500. */
  readonly schema?: OfficialSchema | undefined;
  /** Other guests than those in this process. */
  readonly guests?: GuestBackend;
}

/** One node. */
export interface NodeOptions {
  readonly name: string;
  /** Default: 16. */
  readonly cores?: number;
  /** Default: 64 GiB. */
  readonly memoryBytes?: number;
  /** Default: vmbr0. */
  readonly bridges?: readonly string[];
}
