/** Clones a VM or a template: what is checked before the task begins, and what the task does. */
import { PveError } from '../http/pve-error.ts';
import type { Cluster } from './cluster.ts';
import {
  DRIVE_KEY,
  formatDrive,
  formatSize,
  isCdrom,
  isCloudInitDrive,
  storageOf,
  type Drive,
} from './disks.ts';
import type { Storage } from './storages.ts';
import type { TaskRun } from './tasks.ts';
import { taskTime } from './task-time.ts';
import { Vm } from './vm.ts';
import { copyVolume, createCloudInitVolume, removeVolume, storageOfVolume, volumeOf } from './volumes.ts';

/** What a clone is asked to be. */
export interface CloneRequest {
  readonly newid: number;
  readonly name: string | undefined;
  readonly description: string | undefined;
  readonly pool: string | undefined;
  /** Undefined: full where the source is no template. */
  readonly full: boolean | undefined;
  readonly storage: string | undefined;
  readonly target: string | undefined;
  readonly snapname: string | undefined;
  readonly authId: string;
}

/** Checks and begins a clone; answers the UPID. The new VM is there at once, locked. */
export function cloneVm(cluster: Cluster, source: Vm, request: CloneRequest): string {
  const plan = planClone(cluster, source, request);
  const { newid } = request;
  if (cluster.vms.has(newid))
    throw PveError.failed(`unable to create VM ${newid}: config file already exists`);
  const vm = new Vm(newid, source.node, cluster.clock.monotonic());
  vm.lock = 'clone';
  // Everything but the disks is there while it is made, so that whoever finds it half made knows what it is.
  vm.config = identify(cluster, source, request);
  cluster.vms.set(newid, vm);
  const start = { node: source.node, type: 'qmclone', id: String(source.vmid), authId: request.authId };
  return cluster.tasks.start(start, (run) => runClone(cluster, { source, vm, plan, request }, run));
}

interface ClonePlan {
  readonly full: boolean;
  readonly target: string;
  /** Where the disks go; null: each where its source is. */
  readonly storage: Storage | null;
}

function planClone(cluster: Cluster, source: Vm, request: CloneRequest): ClonePlan {
  cluster.checkLock(source);
  const full = request.full ?? !source.isTemplate;
  if (request.storage !== undefined && !full) {
    throw PveError.failed(`parameter 'storage' not allowed for linked clones`);
  }
  if (request.snapname !== undefined && !source.snapshots.has(request.snapname)) {
    throw PveError.failed(`snapshot '${request.snapname}' does not exist`);
  }
  const target = request.target ?? source.node;
  if (!cluster.nodes.has(target)) throw PveError.failed(`no such cluster node '${target}'`);
  const storage = request.storage === undefined ? null : cluster.storages.on(request.storage, source.node);
  if (target !== source.node) checkTarget(cluster, source, target, storage);
  if (!full) checkCanLink(cluster, source);
  return { full, target, storage };
}

function checkTarget(cluster: Cluster, source: Vm, target: string, storage: Storage | null): void {
  if (storage !== null) {
    cluster.storages.on(storage.options.storage, target);
    if (!storage.abilities.isShared) {
      throw PveError.failed(`can't clone to non-shared storage '${storage.options.storage}'`);
    }
  }
  const usesLocal = source
    .drives()
    .some(([, { volume }]) => cluster.storages.find(storageOf(volume) ?? '')?.abilities.isShared === false);
  if (usesLocal) throw PveError.failed(`can't clone VM to node '${target}' (VM uses local storage)`);
}

function checkCanLink(cluster: Cluster, source: Vm): void {
  for (const [key, drive] of source.disks()) {
    const storage = storageOfVolume(cluster, drive.volume, source.node);
    if (!storage.abilities.canClone || !source.isTemplate) {
      throw PveError.failed(`Linked clone feature is not supported for drive '${key}'`);
    }
  }
}

interface CloneJob {
  readonly source: Vm;
  readonly vm: Vm;
  readonly plan: ClonePlan;
  readonly request: CloneRequest;
}

async function runClone(cluster: Cluster, job: CloneJob, run: TaskRun): Promise<void> {
  const { source, vm, plan, request } = job;
  try {
    await taskTime(cluster, run, plan.full ? 'fullCloneMs' : 'linkedCloneMs');
    for (const [key, drive] of source.drives()) {
      if (drive.volume === 'none' || /^unused/.test(key)) continue;
      vm.config.set(key, formatDrive(await cloneDrive(cluster, job, [key, drive], run)));
    }
    run.signal.throwIfAborted();
  } catch (error) {
    await undoClone(cluster, vm);
    throw PveError.failed(`clone failed: ${error instanceof Error ? error.message : String(error)}`);
  }
  vm.lock = undefined;
  // Only now: until it is done, who has privileges through the pool alone does not see it.
  vm.node = plan.target;
  vm.pool = request.pool;
}

async function cloneDrive(
  cluster: Cluster,
  job: CloneJob,
  [key, drive]: [string, Drive],
  run: TaskRun,
): Promise<Drive> {
  const { source, vm, plan } = job;
  const place = (storage: Storage) => ({ storage, node: vm.node, vmid: vm.vmid });
  if (isCloudInitDrive(drive)) {
    const volume = await createCloudInitVolume(
      cluster,
      place(plan.storage ?? storageOfVolume(cluster, drive.volume, vm.node)),
    );
    return { volume: volume.volid, options: drive.options };
  }
  if (isCdrom(drive)) return drive;
  const from = volumeOf(cluster, source, drive.volume);
  run.log(
    plan.full
      ? `create full clone of drive ${key} (${drive.volume})`
      : `create linked clone of drive ${key} (${drive.volume})`,
  );
  const storage = plan.storage ?? storageOfVolume(cluster, drive.volume, vm.node);
  const volume = await copyVolume(cluster, from, place(storage), !plan.full);
  const options = new Map(drive.options).set('size', formatSize(volume.sizeBytes));
  return { volume: volume.volid, options };
}

/** The configuration without drives: what every clone has of its own, and what it inherits, its description too. */
function identify(cluster: Cluster, source: Vm, request: CloneRequest): Map<string, string> {
  const from = source.snapshots.get(request.snapname ?? '')?.config ?? source.config;
  const config = new Map([...from].filter(([key]) => !DRIVE_KEY.test(key) && key !== 'template'));
  for (const [key, value] of config) {
    if (!/^net\d+$/.test(key)) continue;
    config.set(key, value.replace(/=(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}/, `=${cluster.newMac()}`));
  }
  const oldName = from.get('name');
  config.set('name', request.name ?? `Copy-of-${oldName ?? `VM-${source.vmid}`}`);
  if (request.description !== undefined) config.set('description', request.description);
  config.set('smbios1', `uuid=${cluster.newUuid()}`);
  if (config.has('vmgenid')) config.set('vmgenid', cluster.newUuid());
  config.set('meta', `creation-qemu=${cluster.version.qemu},ctime=${cluster.nowSeconds}`);
  return config;
}

async function undoClone(cluster: Cluster, vm: Vm): Promise<void> {
  for (const [, drive] of vm.drives()) {
    const volume = cluster.storages.volume(drive.volume, vm.node);
    if (volume !== undefined) await removeVolume(cluster, volume);
  }
  if (cluster.vms.get(vm.vmid) === vm) cluster.vms.delete(vm.vmid);
}
