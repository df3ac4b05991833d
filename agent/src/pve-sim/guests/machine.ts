/**
 * The port to what runs inside a simulated cluster: disks with something on them, and machines that boot from them.
 * There are two backends: guests in this process, and QEMU.
 */
import type { CloudInitData } from './cloud-init.ts';

/** What a machine boots with. */
export interface MachineSpec {
  readonly vmid: number;
  readonly name: string;
  readonly node: string;
  readonly cores: number;
  readonly memoryMb: number;
  /** The disk to boot from; null where the configuration has none. */
  readonly bootDisk: string | null;
  readonly nics: readonly Nic[];
  /** What the cloud-init drive says; null where there is no such drive. */
  readonly seed: CloudInitData | null;
  /** Whether the configuration lets the guest agent be asked. */
  readonly hasAgentDevice: boolean;
}

/** A network card as the configuration has it. */
export interface Nic {
  readonly index: number;
  /** Upper case, with colons. */
  readonly mac: string;
  readonly bridge: string;
  readonly linkDown: boolean;
}

/** A machine that was started. */
export interface Machine {
  /** Pulls the plug. Resolves when it is off. Idempotent. */
  stop(): Promise<void>;
  /** Presses the power button; whether the guest has seen it. Its end is told by `onOff`. */
  pressPowerButton(): boolean;
  /** Restarts without a power cut. */
  reset(): Promise<void>;
  /**
   * Asks the QEMU guest agent, in its own words: command and arguments in, what it returns out. Throws AgentSilent
   * when nothing answers, AgentRefusal when the agent does not do it.
   */
  askAgent(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** Makes disks and machines. */
export interface GuestBackend {
  /** Makes a disk from an image (its name in the storage, or null: empty). */
  createDisk(volume: string, image: string | null, sizeBytes: number): Promise<void>;
  /** Copies a disk with what is on it; `linked` may leave the unchanged parts where they are. */
  copyDisk(from: string, to: string, linked: boolean): Promise<void>;
  resizeDisk(volume: string, sizeBytes: number): Promise<void>;
  /** Idempotent. */
  removeDisk(volume: string): Promise<void>;
  /** Starts a machine. `onOff` is called once, when it goes off by itself. */
  boot(spec: MachineSpec, onOff: () => void): Promise<Machine>;
  /** Ends everything. Idempotent. */
  close(): Promise<void>;
}

/** Nothing answers at the guest agent's end of the line. */
export class AgentSilent extends Error {}

/** The guest agent answered that it does not do this. */
export class AgentRefusal extends Error {}
