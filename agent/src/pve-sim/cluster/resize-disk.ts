/** Grows a disk of a VM: a task from version 8 on, before that done when the call is answered. */
import { sleep } from '@dc/shared/clock';
import { PveError } from '../http/pve-error.ts';
import type { Cluster } from './cluster.ts';
import { formatDrive, parseDrive } from './disks.ts';
import type { Vm } from './vm.ts';
import { diskName, storageOfVolume, volumeOf } from './volumes.ts';

/** Grows `key` to a size that is not less than before. Answers the UPID, or null (before 8) when it is done. */
export function resizeDisk(
  cluster: Cluster,
  vm: Vm,
  key: string,
  to: { readonly bytes: number; readonly text: string; readonly authId: string },
): string | Promise<null> {
  const work = async (): Promise<void> => {
    const drive = parseDrive(vm.config.get(key) ?? '');
    const volume = volumeOf(cluster, vm, drive.volume);
    const storage = storageOfVolume(cluster, drive.volume, vm.node);
    cluster.storages.checkRoom(storage, vm.node, to.bytes - volume.sizeBytes);
    await sleep(cluster.clock, cluster.timing.resizeMs, cluster.closing.signal);
    if (cluster.vms.get(vm.vmid) !== vm) throw PveError.failed(`volume '${drive.volume}' does not exist`);
    volume.usedBytes += to.bytes - volume.sizeBytes;
    volume.sizeBytes = to.bytes;
    await cluster.guests.resizeDisk(diskName(volume), to.bytes);
    vm.config.set(
      key,
      formatDrive({ volume: drive.volume, options: new Map(drive.options).set('size', to.text) }),
    );
  };
  if (cluster.version.major < 8) return work().then(() => null);
  return cluster.tasks.start({ node: vm.node, type: 'resize', id: String(vm.vmid), authId: to.authId }, work);
}
