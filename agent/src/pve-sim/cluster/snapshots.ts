/** Snapshots of VMs: their configuration, and copies of their disks where the storage can do that. */
import { PveError } from '../http/pve-error.ts';
import type { Cluster } from './cluster.ts';
import { task } from './power-vm.ts';
import { taskTime } from './task-time.ts';
import type { Snapshot, Vm } from './vm.ts';
import { diskName, storageOfVolume, volumeOf } from './volumes.ts';

/** A snapshot as it is asked for. */
export interface SnapshotRequest {
  readonly name: string;
  readonly description: string;
  readonly authId: string;
}

/** Begins to take a snapshot; answers the UPID. */
export function takeSnapshot(
  cluster: Cluster,
  vm: Vm,
  { name, description, authId }: SnapshotRequest,
): string {
  cluster.checkLock(vm);
  if (vm.snapshots.has(name)) throw PveError.failed(`snapshot name '${name}' already used`);
  if (name === 'current') throw PveError.failed(`unable to use snapshot name 'current' (reserved name)`);
  for (const [, drive] of vm.disks()) {
    if (!storageOfVolume(cluster, drive.volume, vm.node).abilities.canSnapshot)
      throw PveError.failed('snapshot feature is not available');
  }
  vm.lock = 'snapshot';
  return task(cluster, vm, { type: 'qmsnapshot', authId }, async (run) => {
    try {
      await taskTime(cluster, run, 'snapshotMs');
      for (const disk of disksOf(cluster, vm)) await cluster.guests.copyDisk(disk, `${disk}@${name}`, false);
      const snaptime = cluster.nowSeconds;
      vm.snapshots.set(name, {
        name,
        description,
        snaptime,
        parent: vm.snapshotParent,
        config: new Map(vm.config),
      });
      vm.snapshotParent = name;
    } finally {
      vm.lock = undefined;
    }
  });
}

/** Begins to remove a snapshot; answers the UPID. */
export function deleteSnapshot(cluster: Cluster, vm: Vm, name: string, authId: string): string {
  const snapshot = snapshotOf(vm, name);
  cluster.checkLock(vm);
  vm.lock = 'snapshot-delete';
  return task(cluster, vm, { type: 'qmdelsnapshot', authId }, async (run) => {
    try {
      await taskTime(cluster, run, 'snapshotMs');
      for (const disk of disksOf(cluster, vm)) await cluster.guests.removeDisk(`${disk}@${name}`);
      vm.snapshots.delete(name);
      if (vm.snapshotParent === name) vm.snapshotParent = snapshot.parent;
      for (const [key, other] of vm.snapshots) {
        if (other.parent === name) vm.snapshots.set(key, { ...other, parent: snapshot.parent });
      }
    } finally {
      vm.lock = undefined;
    }
  });
}

/** Begins to go back to a snapshot, which stops the VM; answers the UPID. */
export function rollBack(cluster: Cluster, vm: Vm, name: string, authId: string): string {
  const snapshot = snapshotOf(vm, name);
  cluster.checkLock(vm);
  vm.lock = 'rollback';
  return task(cluster, vm, { type: 'qmrollback', authId }, async (run) => {
    try {
      await taskTime(cluster, run, 'snapshotMs');
      await vm.machine?.stop();
      cluster.setMachine(vm, undefined);
      for (const disk of disksOf(cluster, vm)) await cluster.guests.copyDisk(`${disk}@${name}`, disk, false);
      vm.config = new Map(snapshot.config);
      vm.snapshotParent = name;
    } finally {
      vm.lock = undefined;
    }
  });
}

/** The snapshot of that name. Fails where there is none. */
export function snapshotOf(vm: Vm, name: string): Snapshot {
  const snapshot = vm.snapshots.get(name);
  if (snapshot === undefined) throw PveError.failed(`snapshot '${name}' does not exist`);
  return snapshot;
}

function disksOf(cluster: Cluster, vm: Vm): string[] {
  return vm.disks().map(([, drive]) => diskName(volumeOf(cluster, vm, drive.volume)));
}
