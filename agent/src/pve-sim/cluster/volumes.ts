/** Makes, copies, grows and removes the volumes of VMs: names as each storage makes them, room, and the storage's lock. */
import { sleep } from '@dc/shared/clock';
import { PveError } from '../http/pve-error.ts';
import type { Cluster } from './cluster.ts';
import { storageOf } from './disks.ts';
import type { Storage, Volume } from './storages.ts';
import type { Vm } from './vm.ts';

/** Where a volume is to be. */
export interface VolumePlace {
  readonly storage: Storage;
  readonly node: string;
  readonly vmid: number;
}

/** Makes a volume with something of an image on it (null: nothing). */
export async function createVolume(
  cluster: Cluster,
  place: VolumePlace,
  sizeBytes: number,
  image: string | null,
): Promise<Volume> {
  return withStorageLock(cluster, place, async () => {
    cluster.storages.checkRoom(place.storage, place.node, sizeBytes);
    const volume = addVolume(cluster, place, { sizeBytes, usedBytes: sizeBytes, parent: undefined });
    await cluster.guests.createDisk(diskName(volume), image, sizeBytes);
    return volume;
  });
}

/** Makes the small drive that holds the cloud-init data. */
export async function createCloudInitVolume(cluster: Cluster, place: VolumePlace): Promise<Volume> {
  const sizeBytes = 4 * 1024 ** 2;
  return withStorageLock(cluster, place, async () => {
    const { storage, node, vmid } = place;
    const name = storage.abilities.isFiles ? `${vmid}/vm-${vmid}-cloudinit.qcow2` : `vm-${vmid}-cloudinit`;
    const volid = `${storage.options.storage}:${name}`;
    const existing = cluster.storages.volume(volid, node);
    if (existing !== undefined) throw PveError.failed(`volume '${volid}' already exists`);
    return cluster.storages.add({
      ...basics(cluster, place, volid),
      sizeBytes,
      usedBytes: sizeBytes,
      parent: undefined,
    });
  });
}

/** Copies a volume: whole, or as a linked clone where the storage can do that. */
export async function copyVolume(
  cluster: Cluster,
  source: Volume,
  place: VolumePlace,
  linked: boolean,
): Promise<Volume> {
  return withStorageLock(cluster, place, async () => {
    const usedBytes = linked ? Math.min(source.sizeBytes, 1024 ** 2) : source.sizeBytes;
    cluster.storages.checkRoom(place.storage, place.node, usedBytes);
    const parent = linked ? source.volid : undefined;
    const volume = addVolume(cluster, place, { sizeBytes: source.sizeBytes, usedBytes, parent });
    await cluster.guests.copyDisk(diskName(source), diskName(volume), linked);
    return volume;
  });
}

/** Removes a volume with what is on it. Fails where it has linked clones. */
export async function removeVolume(cluster: Cluster, volume: Volume): Promise<void> {
  if (cluster.storages.hasClones(volume)) {
    throw PveError.failed(`base volume '${volume.volid}' is still in use by linked cloned`);
  }
  cluster.storages.remove(volume);
  await cluster.guests.removeDisk(diskName(volume));
}

/** What the backend calls a volume: local storages may have one of the same name on each node. */
export function diskName(volume: Volume): string {
  return volume.node === null ? volume.volid : `${volume.node}/${volume.volid}`;
}

/** The volume of a drive, which must be there. */
export function volumeOf(cluster: Cluster, vm: Vm, volid: string): Volume {
  const volume = cluster.storages.volume(volid, vm.node);
  if (volume === undefined) throw PveError.failed(`volume '${volid}' does not exist`);
  return volume;
}

/** The storage that a volume is on, usable from a node. */
export function storageOfVolume(cluster: Cluster, volid: string, node: string): Storage {
  const name = storageOf(volid);
  if (name === null) throw PveError.failed(`unable to parse volume ID '${volid}'`);
  return cluster.storages.on(name, node);
}

/** What the lock of a storage is called among all locks: shared ones have one for the whole cluster. */
export function storageLockName({ abilities, options }: Storage, node: string): string {
  return `storage:${abilities.isShared ? '*' : node}:${options.storage}`;
}

/** Runs `work` under the lock of a storage, which it holds for as long as an allocation takes. */
async function withStorageLock<T>(
  cluster: Cluster,
  { storage, node }: VolumePlace,
  work: () => Promise<T>,
): Promise<T> {
  const { storage: name } = storage.options;
  const { isShared } = storage.abilities;
  const key = storageLockName(storage, node);
  const text = isShared
    ? `cfs-lock 'storage-${name}' error: got lock request timeout`
    : `can't lock file '/var/lock/pve-manager/pve-storage-${name}' - got timeout`;
  return cluster.storages.locks.hold(key, text, async () => {
    const result = await work();
    await sleep(cluster.clock, cluster.timing.storageLockMs, cluster.closing.signal);
    return result;
  });
}

function addVolume(
  cluster: Cluster,
  place: VolumePlace,
  sizes: Pick<Volume, 'sizeBytes' | 'usedBytes' | 'parent'>,
): Volume {
  const { storage, node, vmid } = place;
  const { storage: storageName } = storage.options;
  const extension = storage.abilities.isFiles ? (sizes.parent === undefined ? '.raw' : '.qcow2') : '';
  const folder = storage.abilities.isFiles ? `${vmid}/` : '';
  const base =
    sizes.parent !== undefined && storage.abilities.namesBase
      ? `${sizes.parent.slice(storageName.length + 1)}/`
      : '';
  for (let number = 0; ; number++) {
    const name = `vm-${vmid}-disk-${number}`;
    if (isTaken(cluster, place, name)) continue;
    return cluster.storages.add({
      ...basics(cluster, place, `${storageName}:${base}${folder}${name}${extension}`),
      ...sizes,
    });
  }
  throw PveError.failed(`unable to find a free disk name on storage '${storageName}' of node '${node}'`);
}

function isTaken(cluster: Cluster, { storage, node }: VolumePlace, name: string): boolean {
  return cluster.storages
    .volumes(storage, node)
    .some(({ volid }) => (volid.split(/[/:]/).at(-1) ?? '').replace(/\.\w+$/, '') === name);
}

function basics(
  cluster: Cluster,
  { storage, node, vmid }: VolumePlace,
  volid: string,
): Omit<Volume, 'sizeBytes' | 'usedBytes' | 'parent'> {
  return {
    volid,
    node: storage.abilities.isShared ? null : node,
    vmid,
    content: 'images',
    format: volid.endsWith('.qcow2') ? 'qcow2' : 'raw',
    ctime: cluster.nowSeconds,
  };
}
