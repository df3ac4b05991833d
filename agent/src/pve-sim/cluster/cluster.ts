/** The simulated cluster: nodes, VMs, storages, pools, tasks, access control, and whether it can decide. */
import type { Clock } from '@dc/shared/clock';
import { randomFraction, type Random } from '@dc/shared/random';
import type { AccessControl } from '../access/access-control.ts';
import type { PveVersion } from '../access/privileges.ts';
import { PveError } from '../http/pve-error.ts';
import type { Storages } from './storages.ts';
import type { Tasks } from './tasks.ts';
import type { Timing } from './timing.ts';
import type { GuestBackend, Machine } from '../guests/machine.ts';
import type { Vm } from './vm.ts';

/** A node of the cluster. */
export interface ClusterNode {
  readonly name: string;
  readonly nodeid: number;
  readonly ip: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly bridges: readonly string[];
  isOnline: boolean;
}

/** What a cluster is made of. */
export interface ClusterParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly version: PveVersion;
  readonly timing: Timing;
  readonly nodes: readonly ClusterNode[];
  readonly storages: Storages;
  readonly access: AccessControl;
  readonly tasks: Tasks;
  readonly guests: GuestBackend;
  readonly pools: Map<string, Pool>;
  readonly vms: Map<number, Vm>;
}

/** A pool; its VMs know that they are in it. */
export interface Pool {
  comment: string;
  readonly storages: Set<string>;
}

export class Cluster {
  readonly clock: Clock;
  readonly random: Random;
  readonly version: PveVersion;
  readonly timing: Timing;
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  readonly storages: Storages;
  readonly access: AccessControl;
  readonly tasks: Tasks;
  readonly guests: GuestBackend;
  readonly pools: Map<string, Pool>;
  readonly vms: Map<number, Vm>;
  /** Taken away by a fault, whatever the nodes say. */
  hasLostQuorum = false;
  /** Of the certificate that the API shows now. */
  fingerprint = '';
  #rootFingerprint: string | undefined;
  readonly startedAtMs: number;
  /** Aborted when the simulator closes: nothing waits any longer. */
  readonly closing = new AbortController();

  constructor(parts: ClusterParts) {
    this.clock = parts.clock;
    this.random = parts.random;
    this.version = parts.version;
    this.timing = parts.timing;
    this.nodes = new Map(parts.nodes.map((node) => [node.name, node]));
    this.storages = parts.storages;
    this.access = parts.access;
    this.tasks = parts.tasks;
    this.guests = parts.guests;
    this.pools = parts.pools;
    this.vms = parts.vms;
    this.startedAtMs = parts.clock.monotonic();
  }

  /** Of the cluster's own authority, which outlives the certificate. */
  get rootFingerprint(): string {
    const draw = (): string => Buffer.from(this.random.bytes(32)).toString('hex').toUpperCase();
    return (this.#rootFingerprint ??= draw().replace(/(..)(?=.)/g, '$1:'));
  }

  /** Whether more than half of the nodes are there. */
  get isQuorate(): boolean {
    const online = [...this.nodes.values()].filter(({ isOnline }) => isOnline).length;
    return !this.hasLostQuorum && online * 2 > this.nodes.size;
  }

  /** The VM, where it is on that node. Fails as reading a configuration file that is not there. */
  vmOn(node: string, vmid: number): Vm {
    const vm = this.vms.get(vmid);
    const isKnown = vm !== undefined && this.clock.monotonic() - vm.madeAtMs >= this.timing.vmUnknownMs;
    if (vm?.node !== node || !isKnown) {
      throw PveError.failed(`Configuration file 'nodes/${node}/qemu-server/${vmid}.conf' does not exist`);
    }
    return vm;
  }

  /** Notes that a VM went on or off. */
  setMachine(vm: Vm, machine: Machine | undefined): void {
    vm.setMachine(machine, this.clock.monotonic(), this.timing.statisticsMs);
  }

  /** Fails while a lock is on the VM's configuration. */
  checkLock(vm: Vm, allowed?: string): void {
    if (vm.lock !== undefined && vm.lock !== allowed) throw PveError.failed(`VM is locked (${vm.lock})`);
  }

  /** The lowest free number from `from` on. Nothing is kept for whoever asked. */
  nextId(from = 100): number {
    let candidate = from;
    while (this.vms.has(candidate)) candidate += 1;
    return candidate;
  }

  /** A hardware address as Proxmox VE makes them: BC:24:11 and three random bytes (before 8: any local one). */
  newMac(): string {
    const bytes = [0xbc, 0x24, 0x11, ...this.random.bytes(3)];
    if (this.version.major < 8) {
      bytes.splice(0, 3, ...this.random.bytes(3));
      bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
    }
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(':');
  }

  /** A UUID. */
  newUuid(): string {
    const bytes = Buffer.from(this.random.bytes(16));
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }

  /** Some whole number below `limit`: for process numbers and the like. */
  below(limit: number): number {
    return Math.floor(randomFraction(this.random) * limit);
  }

  get nowSeconds(): number {
    return Math.trunc(this.clock.now() / 1000);
  }

  secondsSince(monotonicMs: number): number {
    return Math.trunc((this.clock.monotonic() - monotonicMs) / 1000);
  }
}
