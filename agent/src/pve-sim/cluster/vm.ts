/** A virtual machine of the cluster: its configuration, its locks, its snapshots, and the machine when it runs. */
import { createHash } from 'node:crypto';
import type { Machine, Nic } from '../guests/machine.ts';
import { PowerState } from './power-state.ts';
import { isCdrom, isCloudInitDrive, DRIVE_KEY, parseDrive, parseSize, type Drive } from './disks.ts';

/** A state that can be gone back to. */
export interface Snapshot {
  readonly name: string;
  readonly description: string;
  /** Seconds since the epoch. */
  readonly snaptime: number;
  readonly parent: string | undefined;
  readonly config: ReadonlyMap<string, string>;
}

export class Vm {
  readonly vmid: number;
  /** A clone for another node is where its source is until it is done. */
  node: string;
  /** Key → text, as the configuration file has it, without `lock`. */
  config = new Map<string, string>();
  /** What takes effect at the next start; null: to be removed. */
  readonly pending = new Map<string, string | null>();
  lock: string | undefined;
  readonly snapshots = new Map<string, Snapshot>();
  /** The snapshot that the current state comes from. */
  snapshotParent: string | undefined;
  /** On the monotonic clock. */
  readonly madeAtMs: number;
  readonly power: PowerState;
  #machine: Machine | undefined;
  /** On the monotonic clock. */
  startedAtMs = 0;
  pid = 0;
  /** The cloud-init settings that the drive was made from. */
  seededWith = new Map<string, string>();
  pool: string | undefined;

  /** `nowMs` is on the monotonic clock. */
  constructor(vmid: number, node: string, nowMs: number) {
    this.vmid = vmid;
    this.node = node;
    this.madeAtMs = nowMs;
    this.power = new PowerState(nowMs);
  }

  /** There while it runs. */
  get machine(): Machine | undefined {
    return this.#machine;
  }

  /** Goes on or off; `roundMs` is how often others look. */
  setMachine(machine: Machine | undefined, nowMs: number, roundMs: number): void {
    if ((machine === undefined) === (this.#machine === undefined)) {
      this.#machine = machine;
      return;
    }
    this.#machine = machine;
    if (machine !== undefined) this.startedAtMs = nowMs;
    this.power.change(machine === undefined ? 'stopped' : 'running', nowMs, roundMs);
  }

  get name(): string {
    return this.config.get('name') ?? `VM ${this.vmid}`;
  }

  get isTemplate(): boolean {
    return this.config.get('template') === '1';
  }

  get isRunning(): boolean {
    return this.#machine !== undefined;
  }

  get cores(): number {
    return Number(this.config.get('cores') ?? 1) * Number(this.config.get('sockets') ?? 1);
  }

  get memoryMb(): number {
    return Number(/\d+/.exec(this.config.get('memory') ?? '512')?.[0]);
  }

  /** SHA-1 of the configuration: for changes that must not overtake another. */
  get digest(): string {
    const lines = [...this.config]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}: ${value}`);
    return createHash('sha1').update(lines.join('\n')).digest('hex');
  }

  /** All drives, in the order of the configuration. */
  drives(): [string, Drive][] {
    return [...this.config]
      .filter(([key]) => DRIVE_KEY.test(key))
      .map(([key, text]) => [key, parseDrive(text)]);
  }

  /** The drives with volumes of this VM's own, also the unused ones. */
  disks(): [string, Drive][] {
    return this.drives().filter(([, drive]) => !isCdrom(drive) && drive.volume !== 'none');
  }

  cloudInitDrive(): [string, Drive] | undefined {
    return this.drives().find(([, drive]) => isCloudInitDrive(drive));
  }

  /** The disk to boot from: the first of `boot: order=…`, or the first disk. */
  bootDisk(): [string, Drive] | undefined {
    const disks = this.disks().filter(([key]) => !/^(unused|efidisk|tpmstate)/.test(key));
    const order = /order=([^,]*)/.exec(this.config.get('boot') ?? '')?.[1]?.split(';') ?? [];
    const named = order.map((key) => disks.find(([each]) => each === key)).find((each) => each !== undefined);
    return named ?? disks[0];
  }

  bootDiskBytes(): number {
    return parseSize(this.bootDisk()?.[1].options.get('size') ?? '0') ?? 0;
  }

  nics(): Nic[] {
    return [...this.config].flatMap(([key, text]) => {
      const index = /^net(\d+)$/.exec(key)?.[1];
      const mac = macOf(text);
      if (index === undefined || mac === null) return [];
      const bridge = /(?:^|,)bridge=([^,]+)/.exec(text)?.[1] ?? '';
      return [{ index: Number(index), mac, bridge, linkDown: /(?:^|,)link_down=1/.test(text) }];
    });
  }

  /** Whether `agent` is on: `1`, `enabled=1`, `1,fstrim_cloned_disks=1`. */
  get hasAgent(): boolean {
    return /^(?:enabled=)?1\b/.test(this.config.get('agent') ?? '0');
  }
}

/** The address in `virtio=BC:24:11:…,bridge=vmbr0`; null where there is none. */
export function macOf(net: string): string | null {
  return /=((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})(?:,|$)/.exec(net)?.[1]?.toUpperCase() ?? null;
}
