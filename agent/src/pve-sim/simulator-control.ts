/** What a test does to a simulator from outside of its API: sets things up, breaks them, and looks inside. */
import type { Cluster } from './cluster/cluster.ts';
import type { Storage } from './cluster/storages.ts';
import type { Faults } from './faults/faults.ts';
import { Vm } from './cluster/vm.ts';
import { vmLockName } from './cluster/vm-lock.ts';
import { createVolume, diskName, storageLockName } from './cluster/volumes.ts';
import { SimulatedGuests } from './guests/simulated-guests.ts';
import { formatSize } from './cluster/disks.ts';

const GIB = 1024 ** 3;

/** A template, or a VM, as it is wanted. */
export interface VmWish {
  readonly vmid: number;
  /** Default: the first. */
  readonly node?: string;
  readonly name?: string;
  /** Default: local-lvm. */
  readonly storage?: string;
  /** Default: 2 GiB. */
  readonly diskBytes?: number;
  readonly template?: boolean;
  /** Over the defaults: one card on vmbr0, the agent on, a cloud-init drive. */
  readonly config?: Readonly<Record<string, string>>;
  /** Keys to leave out of the defaults. */
  readonly without?: readonly string[];
}

export class SimulatorControl {
  /** Everything there is. Reading is safe; whoever changes it knows why. */
  readonly cluster: Cluster;
  /** Shows a new certificate, as a renewal does; `fingerprint` of the simulator is the new one's then. */
  readonly renewCertificate: () => void;

  /** What goes wrong; `add` makes more of it. */
  readonly faults: Faults;

  constructor(cluster: Cluster, faults: Faults, renewCertificate: () => void) {
    this.cluster = cluster;
    this.faults = faults;
    this.renewCertificate = renewCertificate;
  }

  /** Makes a token and answers it as it stands in the header: `user@realm!id=secret`. The user is made if need be. */
  addToken(userid: string, tokenid: string, options: { readonly privsep?: boolean } = {}): string {
    const { access } = this.cluster;
    const user = access.users.get(userid) ?? access.addUser(userid);
    const secret = this.cluster.newUuid();
    user.tokens.set(tokenid, {
      tokenid,
      secret,
      privsep: options.privsep ?? true,
      comment: undefined,
      expire: 0,
    });
    return `${userid}!${tokenid}=${secret}`;
  }

  /** Gives a user or token (with `!`) some privileges at a path, by a role of its own. */
  allow(holder: string, path: string, privileges: readonly string[], propagate = true): void {
    const { access } = this.cluster;
    const roleid = `sim-${access.roles.size}`;
    access.roles.set(roleid, new Set(privileges));
    access.grant([{ path, type: holder.includes('!') ? 'token' : 'user', ugid: holder, roleid, propagate }]);
  }

  /** A node that does not answer any more, with its VMs. Answers what brings it back. */
  takeNodeDown(name: string): () => void {
    const node = this.cluster.nodes.get(name);
    if (node === undefined) throw new Error(`There is no node ${name}.`);
    node.isOnline = false;
    return () => {
      node.isOnline = true;
    };
  }

  /** A cluster that cannot decide. Answers what ends that. */
  loseQuorum(): () => void {
    this.cluster.hasLostQuorum = true;
    return () => {
      this.cluster.hasLostQuorum = false;
    };
  }

  /** Fills a storage up to the last bytes. Answers what frees it again. */
  fillStorage(name: string, leavesBytes = 0): () => void {
    const storage = this.#storage(name);
    const before = storage.foreignBytes;
    const used = Math.max(
      ...[...this.cluster.nodes.keys()].map((node) => this.cluster.storages.usedBytes(storage, node)),
    );
    storage.foreignBytes += storage.totalBytes - used - leavesBytes;
    return () => {
      storage.foreignBytes = before;
    };
  }

  /** Answers what enables the storage again. */
  disableStorage(name: string): () => void {
    const storage = this.#storage(name);
    storage.isDisabled = true;
    return () => {
      storage.isDisabled = false;
    };
  }

  /** Puts a lock on a VM's configuration, as a crash leaves it. Answers what takes it off. */
  lockVm(vmid: number, lock: string): () => void {
    const vm = this.#vm(vmid);
    vm.lock = lock;
    return () => {
      vm.lock = undefined;
    };
  }

  /** Holds the lock on a VM's file, as a task that hangs does. Answers what lets go of it. */
  holdVmLock(vmid: number): () => void {
    return this.#hold(vmLockName(vmid));
  }

  /** Holds the lock of a storage, as a long allocation does. Answers what lets go of it. */
  holdStorageLock(name: string, node: string): () => void {
    return this.#hold(storageLockName(this.#storage(name), node));
  }

  #hold(name: string): () => void {
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => (letGo = resolve));
    void this.cluster.storages.locks.hold(name, 'got timeout', () => held);
    return () => letGo();
  }

  /** Switches a VM off as a crash of QEMU does: no task, no word. */
  switchOff(vmid: number): void {
    const vm = this.#vm(vmid);
    void vm.machine?.stop();
    this.cluster.setMachine(vm, undefined);
  }

  /** Leaves a machine-id on a VM's disk, as a template that was not cleaned has it: its clones share it. */
  setMachineId(vmid: number, machineId: string): void {
    const { guests, storages } = this.cluster;
    const vm = this.#vm(vmid);
    const volume = storages.volume(vm.bootDisk()?.[1].volume ?? '', vm.node);
    if (!(guests instanceof SimulatedGuests) || volume === undefined)
      throw new Error('Only guests in this process.');
    guests.diskOf(diskName(volume))?.write('/etc/machine-id', `${machineId}\n`);
  }

  #storage(name: string): Storage {
    const storage = this.cluster.storages.find(name);
    if (storage === undefined) throw new Error(`There is no storage ${name}.`);
    return storage;
  }

  #vm(vmid: number): Vm {
    const vm = this.cluster.vms.get(vmid);
    if (vm === undefined) throw new Error(`There is no VM ${vmid}.`);
    return vm;
  }

  /** Makes a VM with a small Debian on its disk, without a task. */
  async addVm(wish: VmWish): Promise<Vm> {
    const { cluster } = this;
    const node = wish.node ?? [...cluster.nodes.keys()][0] ?? '';
    const vm = new Vm(wish.vmid, node, cluster.clock.monotonic());
    const storage = cluster.storages.on(wish.storage ?? 'local-lvm', node);
    cluster.vms.set(wish.vmid, vm);
    const volume = await createVolume(
      cluster,
      { storage, node, vmid: wish.vmid },
      wish.diskBytes ?? 2 * GIB,
      'debian-12',
    );
    const base = wish.template === true ? await this.#asBase(vm, volume.volid) : volume.volid;
    const defaults: Record<string, string> = {
      name: wish.name ?? `vm-${wish.vmid}`,
      agent: '1',
      boot: 'order=scsi0',
      cores: '1',
      ide2: `${storage.options.storage}:vm-${wish.vmid}-cloudinit,media=cdrom`,
      memory: '1024',
      net0: `virtio=${cluster.newMac()},bridge=vmbr0`,
      ostype: 'l26',
      scsi0: `${base},size=${formatSize(volume.sizeBytes)}`,
      scsihw: 'virtio-scsi-pci',
      serial0: 'socket',
      smbios1: `uuid=${cluster.newUuid()}`,
      ...(wish.template === true ? { template: '1' } : {}),
      ...wish.config,
    };
    vm.config = new Map(Object.entries(defaults).filter(([key]) => wish.without?.includes(key) !== true));
    return vm;
  }

  async #asBase(vm: Vm, volid: string): Promise<string> {
    const { storages, guests } = this.cluster;
    const volume = storages.volume(volid, vm.node);
    if (volume === undefined) return volid;
    const base = { ...volume, volid: volid.replace('vm-', 'base-') };
    await guests.copyDisk(diskName(volume), diskName(base), false);
    await guests.removeDisk(diskName(volume));
    storages.remove(volume);
    return storages.add(base).volid;
  }
}
