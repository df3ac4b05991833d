/** Makes and destroys VMs, and turns them into templates. */
import { PveError } from '../http/pve-error.ts';
import { applyConfigChange, type ConfigChange } from './change-config.ts';
import type { Cluster } from './cluster.ts';
import { formatDrive } from './disks.ts';
import { taskTime } from './task-time.ts';
import type { Vm } from './vm.ts';
import { underVmLock } from './vm-lock.ts';
import { diskName, removeVolume, volumeOf } from './volumes.ts';

/** Begins to make a VM; answers the UPID. It is in its pool when it is done. */
export function createVm(
  cluster: Cluster,
  vm: Vm,
  change: ConfigChange,
  { authId, pool }: { readonly authId: string; readonly pool: string | undefined },
): string {
  const { vmid, node } = vm;
  const taken = cluster.vms.get(vmid);
  if (taken !== undefined)
    throw PveError.failed(`unable to create VM ${vmid} - VM ${vmid} already exists on node '${taken.node}'`);
  vm.lock = 'create';
  cluster.vms.set(vmid, vm);
  return cluster.tasks.start({ node, type: 'qmcreate', id: String(vmid), authId }, async (run) => {
    try {
      await taskTime(cluster, run, 'createMs');
      await applyConfigChange(cluster, vm, change);
    } catch (error) {
      for (const [, drive] of vm.drives()) await removeIfThere(cluster, vm, drive.volume);
      cluster.vms.delete(vmid);
      throw PveError.failed(
        `unable to create VM ${vmid} - ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    vm.config.set('meta', `creation-qemu=${cluster.version.qemu},ctime=${cluster.nowSeconds}`);
    vm.config.set('smbios1', vm.config.get('smbios1') ?? `uuid=${cluster.newUuid()}`);
    vm.config.set('vmgenid', cluster.newUuid());
    vm.lock = undefined;
    vm.pool = pool;
  });
}

/** Begins to destroy a VM with its disks; answers the UPID. */
export function destroyVm(cluster: Cluster, vm: Vm, authId: string): string {
  cluster.checkLock(vm);
  if (vm.config.get('protection') === '1') {
    throw PveError.failed(`can't remove VM ${vm.vmid} - protection mode enabled`);
  }
  if (vm.isRunning) throw PveError.failed(`VM ${vm.vmid} is running - destroy failed`);
  return cluster.tasks.start(
    { node: vm.node, type: 'qmdestroy', id: String(vm.vmid), authId },
    async (run) => {
      await underVmLock(cluster, vm, async () => {
        if (vm.isRunning) throw PveError.failed(`VM ${vm.vmid} is running - destroy failed`);
        cluster.checkLock(vm);
        await taskTime(cluster, run, 'destroyMs');
        for (const [, drive] of vm.disks()) {
          const volume = cluster.storages.volume(drive.volume, vm.node);
          if (volume !== undefined && cluster.storages.hasClones(volume)) await removeVolume(cluster, volume);
        }
        for (const [, drive] of vm.drives()) await removeIfThere(cluster, vm, drive.volume);
        cluster.vms.delete(vm.vmid);
      });
    },
  );
}

/** Begins to make a template of a VM; answers the UPID. */
export function makeTemplate(cluster: Cluster, vm: Vm, authId: string): string {
  cluster.checkLock(vm);
  if (vm.isTemplate) throw PveError.failed("you can't convert a template to a template");
  if (vm.isRunning) throw PveError.failed(`you can't convert a VM to template if VM is running vm`);
  if (vm.snapshots.size > 0)
    throw PveError.failed(`unable to create template, because VM contains snapshots`);
  return cluster.tasks.start({ node: vm.node, type: 'qmtemplate', id: String(vm.vmid), authId }, async () => {
    vm.config.set('template', '1');
    for (const [key, drive] of vm.disks()) await renameToBase(cluster, vm, key, drive);
  });
}

async function renameToBase(
  cluster: Cluster,
  vm: Vm,
  key: string,
  drive: Parameters<typeof formatDrive>[0],
): Promise<void> {
  const volume = volumeOf(cluster, vm, drive.volume);
  const volid = volume.volid.replace(`vm-${vm.vmid}-`, `base-${vm.vmid}-`);
  if (volid === volume.volid) return;
  const base = { ...volume, volid };
  await cluster.guests.copyDisk(diskName(volume), diskName(base), false);
  await cluster.guests.removeDisk(diskName(volume));
  cluster.storages.remove(volume);
  cluster.storages.add(base);
  vm.config.set(key, formatDrive({ ...drive, volume: volid }));
}

async function removeIfThere(cluster: Cluster, vm: Vm, volid: string): Promise<void> {
  const volume = cluster.storages.volume(volid, vm.node);
  if (volume?.vmid === vm.vmid) await removeVolume(cluster, volume);
}
