/**
 * Guests in this process: disks are small sets of files, machines boot from them after the time that the timing says,
 * take what cloud-init has for them, get an address, listen for SSH and answer the guest agent.
 */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { Timing } from '../cluster/timing.ts';
import { AddressPool } from './address-pool.ts';
import { GuestOs } from './guest-os.ts';
import { loadSsh2, type Ssh2 } from './guest-ssh-server.ts';
import type { GuestBackend, Machine, MachineSpec } from './machine.ts';
import { SimulatedMachine, type GuestBehaviour } from './simulated-machine.ts';

/** What the guests of one simulator share. */
export interface SimulatedGuestsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: Timing;
  /** The port of every guest's SSH server. */
  readonly sshPort: number;
  /** Where the addresses begin; simulators that run at once need different ones. */
  readonly addressOffset: number;
  /** How a machine behaves; looked up at each boot. */
  readonly behaviourOf: (spec: MachineSpec) => GuestBehaviour;
  /** Called whenever a guest gets an address. */
  readonly onLease: (lease: DhcpLease) => void;
}

/** What the DHCP server of the guests' network knows. */
export interface DhcpLease {
  readonly mac: string;
  readonly address: string;
  readonly hostname: string;
}

export class SimulatedGuests implements GuestBackend {
  readonly #options: SimulatedGuestsOptions;
  readonly #disks = new Map<string, GuestOs>();
  readonly #machines = new Set<SimulatedMachine>();
  readonly #addresses: AddressPool;
  #ssh2: Promise<Ssh2> | undefined;

  constructor(options: SimulatedGuestsOptions) {
    this.#options = options;
    this.#addresses = new AddressPool(options.addressOffset);
  }

  async createDisk(volume: string, image: string | null): Promise<void> {
    // An empty disk boots nothing; any image is our small Debian.
    if (image !== null) this.#disks.set(volume, GuestOs.image());
  }

  async copyDisk(from: string, to: string): Promise<void> {
    const source = this.#disks.get(from);
    if (source !== undefined) this.#disks.set(to, source.copy());
  }

  async resizeDisk(): Promise<void> {
    // The guests' files take no room.
  }

  async removeDisk(volume: string): Promise<void> {
    this.#disks.delete(volume);
  }

  /** What is on a disk; undefined where it is empty. For tests, which look at guests from inside. */
  diskOf(volume: string): GuestOs | undefined {
    return this.#disks.get(volume);
  }

  async boot(spec: MachineSpec, onOff: () => void): Promise<Machine> {
    const { clock, random, timing, sshPort, behaviourOf, onLease } = this.#options;
    const machine = new SimulatedMachine(
      {
        clock,
        random,
        timing,
        sshPort,
        onLease,
        addresses: this.#addresses,
        loadSsh2: () => (this.#ssh2 ??= loadSsh2()),
      },
      spec,
      spec.bootDisk === null ? undefined : this.#disks.get(spec.bootDisk),
      behaviourOf(spec),
    );
    this.#machines.add(machine);
    machine.powerOn(() => {
      this.#machines.delete(machine);
      onOff();
    });
    return machine;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#machines].map((machine) => machine.stop()));
    this.#machines.clear();
  }
}
