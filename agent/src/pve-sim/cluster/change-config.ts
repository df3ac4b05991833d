/** Changes the configuration of a VM: new and detached drives, network cards, cloud-init, what waits for a start. */
import { cryptSha256 } from '../guests/crypt.ts';
import { PveError } from '../http/pve-error.ts';
import type { Cluster } from './cluster.ts';
import { isCloudInitKey, waitsForStart } from './config-keys.ts';
import {
  DRIVE_KEY,
  formatDrive,
  formatSize,
  isCdrom,
  parseDrive,
  parseSize,
  storageOf,
  type Drive,
} from './disks.ts';
import type { Volume } from './storages.ts';
import { macOf, type Vm } from './vm.ts';
import { copyVolume, createCloudInitVolume, createVolume, removeVolume, storageOfVolume } from './volumes.ts';

const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*$/;

/** What is to be set, and what removed. */
export interface ConfigChange {
  readonly set: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
  readonly revert: readonly string[];
  /** The configuration that the caller has seen, where it matters. */
  readonly digest: string | undefined;
}

/** Checks what can be checked before anything is changed. */
export function checkConfigChange(vm: Vm, change: ConfigChange): void {
  if (change.digest !== undefined && change.digest !== vm.digest) {
    throw PveError.failed('detected modified configuration - file changed by other user? Try again.');
  }
  for (const [key, value] of change.set) checkSetting(key, value);
  for (const key of change.remove) {
    if (change.set.has(key)) throw PveError.parameters({ delete: `duplicate delete option '${key}'` });
  }
}

function checkSetting(key: string, value: string): void {
  const wrong = (why: string): PveError => PveError.parameters({ [key]: why });
  if (key === 'sshkeys') {
    if (!/^[-%a-zA-Z0-9_.!~*'()]*$/.test(value)) throw wrong('invalid format - invalid urlencoded string');
    const keys = decodeURIComponent(value)
      .split('\n')
      .filter((line) => line.trim() !== '');
    if (keys.some((line) => !/^\S+ \S+/.test(line.trim()))) throw wrong('SSH public key validation error');
  }
  if (key === 'tags' && value.split(/[;, ]/).some((tag) => tag !== '' && !TAG.test(tag))) {
    throw wrong('invalid format - invalid characters in tag');
  }
  if (/^ipconfig\d+$/.test(key)) {
    const parts = value.split(',');
    if (parts.some((part) => !/^(ip|gw|ip6|gw6)=\S+$/.test(part)))
      throw wrong('invalid format - format error');
    if (parts.some((part) => /^ip=(?!dhcp$)/.test(part) && !/^ip=\d+\.\d+\.\d+\.\d+\/\d+$/.test(part))) {
      throw wrong(
        'invalid format - format error\nip: invalid format - value does not look like a valid IPv4 network configuration',
      );
    }
  }
  if (/^net\d+$/.test(key) && !/^(model=)?(virtio|e1000|e1000e|rtl8139|vmxnet3)\b/.test(value)) {
    throw wrong('invalid format - format error\nmodel: property is missing and it is not optional');
  }
}

/** Carries a change out. The caller has checked it, and the privileges for it. */
export async function applyConfigChange(cluster: Cluster, vm: Vm, change: ConfigChange): Promise<void> {
  for (const key of change.revert) vm.pending.delete(key);
  for (const key of change.remove) await removeSetting(cluster, vm, key);
  for (const [key, value] of change.set) {
    if (key === 'lock') vm.lock = value;
    else if (DRIVE_KEY.test(key)) await setDrive(cluster, vm, key, value);
    else set(vm, key, await storedValue(cluster, vm, key, value));
  }
}

function set(vm: Vm, key: string, value: string): void {
  if (vm.isRunning && waitsForStart(key) && vm.config.get(key) !== value) vm.pending.set(key, value);
  else {
    vm.pending.delete(key);
    vm.config.set(key, value);
  }
}

async function storedValue(cluster: Cluster, vm: Vm, key: string, value: string): Promise<string> {
  if (/^net\d+$/.test(key)) return withMac(cluster, value, vm.config.get(key));
  if (key === 'cipassword' && !value.startsWith('$'))
    return cryptSha256(value, cluster.newUuid().slice(0, 8));
  if (key === 'tags') return [...new Set(value.split(/[;, ]/).filter((tag) => tag !== ''))].sort().join(';');
  return value;
}

function withMac(cluster: Cluster, value: string, old: string | undefined): string {
  if (macOf(value) !== null) return value;
  const model = /^(?:model=)?([^,=]+)/.exec(value)?.[1] ?? 'virtio';
  const mac = old === undefined ? cluster.newMac() : (macOf(old) ?? cluster.newMac());
  return value.replace(/^(?:model=)?[^,=]+/, `${model}=${mac}`);
}

async function removeSetting(cluster: Cluster, vm: Vm, key: string): Promise<void> {
  if (key === 'lock') vm.lock = undefined;
  const old = vm.config.get(key);
  vm.pending.delete(key);
  if (old === undefined) return;
  if (DRIVE_KEY.test(key)) {
    await detachDrive(cluster, vm, key);
    return;
  }
  if (vm.isRunning && waitsForStart(key) && !isCloudInitKey(key)) vm.pending.set(key, null);
  else vm.config.delete(key);
}

/** A disk that is taken off stays as unused; an unused one that is taken off is removed; so is the cloud-init drive. */
async function detachDrive(cluster: Cluster, vm: Vm, key: string): Promise<void> {
  const drive = parseDrive(vm.config.get(key) ?? '');
  vm.config.delete(key);
  const volume = cluster.storages.volume(drive.volume, vm.node);
  if (volume === undefined) return;
  if (isCdrom(drive) || key.startsWith('unused')) {
    if (volume.vmid === vm.vmid) await removeVolume(cluster, volume);
    return;
  }
  for (let index = 0; ; index++) {
    if (vm.config.has(`unused${index}`)) continue;
    vm.config.set(`unused${index}`, drive.volume);
    return;
  }
}

async function setDrive(cluster: Cluster, vm: Vm, key: string, text: string): Promise<void> {
  const drive = parseDrive(text);
  const old = vm.config.get(key);
  if (old !== undefined && parseDrive(old).volume !== drive.volume) await detachDrive(cluster, vm, key);
  vm.config.set(key, formatDrive(await makeDrive(cluster, vm, drive)));
  const unused = [...vm.config].find(
    ([other, value]) => other.startsWith('unused') && value === drive.volume,
  );
  if (unused !== undefined) vm.config.delete(unused[0]);
}

async function makeDrive(cluster: Cluster, vm: Vm, drive: Drive): Promise<Drive> {
  const [, storageName = '', what = ''] = /^([^:]+):(\d+(?:\.\d+)?|cloudinit)$/.exec(drive.volume) ?? [];
  if (storageName === '') return existingDrive(cluster, vm, drive);
  const storage = cluster.storages.on(storageName, vm.node);
  if (!storage.content.includes('images')) {
    throw PveError.failed(`storage '${storageName}' does not support content-type 'images'`);
  }
  const place = { storage, node: vm.node, vmid: vm.vmid };
  if (what === 'cloudinit') {
    const volume = await createCloudInitVolume(cluster, place);
    return { volume: volume.volid, options: new Map([...drive.options, ['media', 'cdrom'], ['size', '4M']]) };
  }
  const options = new Map(drive.options);
  const from = options.get('import-from');
  options.delete('import-from');
  const volume =
    from === undefined
      ? await createVolume(cluster, place, parseSize(`${what}G`) ?? 0, null)
      : await importVolume(cluster, vm, from, place);
  return { volume: volume.volid, options: options.set('size', formatSize(volume.sizeBytes)) };
}

/** A volume from an image: a file on the node, or another volume. */
async function importVolume(
  cluster: Cluster,
  vm: Vm,
  from: string,
  place: Parameters<typeof createVolume>[1],
): Promise<Volume> {
  const source = cluster.storages.volume(from, vm.node);
  if (source === undefined && storageOf(from) !== null)
    throw PveError.failed(`volume '${from}' does not exist`);
  if (source !== undefined && source.content === 'images') return copyVolume(cluster, source, place, false);
  return createVolume(cluster, place, source?.sizeBytes ?? 2 * 1024 ** 3, from);
}

function existingDrive(cluster: Cluster, vm: Vm, drive: Drive): Drive {
  if (drive.volume === 'none' || drive.volume === 'cdrom') return drive;
  storageOfVolume(cluster, drive.volume, vm.node);
  const volume = cluster.storages.volume(drive.volume, vm.node);
  if (volume === undefined) throw PveError.failed(`volume '${drive.volume}' does not exist`);
  if (volume.content !== 'images') return drive;
  return { volume: drive.volume, options: new Map(drive.options).set('size', formatSize(volume.sizeBytes)) };
}
