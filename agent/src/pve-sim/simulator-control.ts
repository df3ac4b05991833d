/** What a test does to a simulator from outside of its API: sets things up, breaks them, and looks inside. */
import type { Cluster } from './cluster/cluster.ts';
import { Vm } from './cluster/vm.ts';
import { createVolume } from './cluster/volumes.ts';
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

  constructor(cluster: Cluster, renewCertificate: () => void) {
    this.cluster = cluster;
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
    for (const key of wish.without ?? []) delete defaults[key];
    vm.config = new Map(Object.entries(defaults));
    return vm;
  }

  async #asBase(vm: Vm, volid: string): Promise<string> {
    const { storages, guests } = this.cluster;
    const volume = storages.volume(volid, vm.node);
    if (volume === undefined) return volid;
    const base = { ...volume, volid: volid.replace('vm-', 'base-') };
    const nameOf = (each: typeof volume): string =>
      each.node === null ? each.volid : `${each.node}/${each.volid}`;
    await guests.copyDisk(nameOf(volume), nameOf(base), false);
    await guests.removeDisk(nameOf(volume));
    storages.remove(volume);
    return storages.add(base).volid;
  }
}
