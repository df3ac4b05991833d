/** What the calls about a VM's configuration share: parameters, privileges by setting, and how it is shown. */
import { demand } from '../access/check-permission.ts';
import { applyConfigChange, checkConfigChange, type ConfigChange } from '../cluster/change-config.ts';
import { CONFIG_KEYS, privilegesFor } from '../cluster/config-keys.ts';
import { DRIVE_KEY, isCdrom, parseDrive } from '../cluster/disks.ts';
import type { Vm } from '../cluster/vm.ts';
import { underVmLock } from '../cluster/vm-lock.ts';
import { PveError } from '../http/pve-error.ts';
import type { Parameters, ParameterSpec, ParameterTable } from './parameters.ts';
import { DNS_NAME, FLAG, type Call } from './route.ts';

/** What is told of a cloud-init password. */
const HIDDEN = '**********';
const NOT_SETTINGS = new Set([
  'node',
  'vmid',
  'delete',
  'revert',
  'digest',
  'force',
  'skiplock',
  'pool',
  'start',
  'unique',
  'storage',
  'background_delay',
  'import-working-storage',
]);
const FLAGS = new Set([
  'acpi',
  'ciupgrade',
  'kvm',
  'numa',
  'onboot',
  'protection',
  'tablet',
  'template',
  'autostart',
  'freeze',
  'localtime',
  'reboot',
  'tdf',
]);

/** Every setting as a parameter. */
export const CONFIG_PARAMETERS: ParameterTable = {
  ...Object.fromEntries(
    [...CONFIG_KEYS].map((key): [string, ParameterSpec] => [
      key,
      { type: FLAGS.has(key) ? 'boolean' : 'string', optional: true },
    ]),
  ),
  name: { ...DNS_NAME, optional: true },
  description: { type: 'string', optional: true, maxLength: 8_192 },
  cores: { type: 'integer', optional: true, minimum: 1 },
  sockets: { type: 'integer', optional: true, minimum: 1 },
  vcpus: { type: 'integer', optional: true, minimum: 1 },
  keephugepages: FLAG,
  cpulimit: { type: 'number', optional: true, minimum: 0, maximum: 128 },
  memory: { type: 'string', optional: true, before8: { type: 'integer', minimum: 16 } },
  shares: { type: 'integer', optional: true, minimum: 0, maximum: 50_000 },
  migrate_downtime: { type: 'number', optional: true, minimum: 0 },
  migrate_speed: { type: 'integer', optional: true, minimum: 0 },
  ciupgrade: { ...FLAG, since: 8 },
  'amd-sev': { type: 'string', optional: true, since: 8 },
  'virtiofs[n]': { type: 'string', optional: true, since: 8 },
  'intel-tdx': { type: 'string', optional: true, since: 9 },
  'allow-ksm': { ...FLAG, since: 9 },
  balloon: { type: 'integer', optional: true, minimum: 0 },
  cpuunits: { type: 'integer', optional: true, minimum: 1, maximum: 262_144 },
  force: FLAG,
};

/** What to do with settings, beside setting them. */
export const CHANGE_PARAMETERS: ParameterTable = {
  delete: { type: 'string', optional: true },
  revert: { type: 'string', optional: true },
  digest: { type: 'string', optional: true, maxLength: 64 },
  skiplock: FLAG,
};

/** What a call wants changed. */
export function readConfigChange(params: Parameters): ConfigChange {
  const names = (key: string): string[] =>
    (params.textOr(key) ?? '').split(/[,; ]+/).filter((name) => name !== '');
  return {
    set: new Map(params.texts().filter(([key]) => !NOT_SETTINGS.has(key))),
    remove: names('delete'),
    revert: names('revert'),
    digest: params.textOr('digest'),
  };
}

/** Changes a configuration. In the background it is a task, whose UPID is answered. */
export async function changeConfig(call: Call, vm: Vm, inBackground: boolean): Promise<string | null> {
  const { cluster, params, authId } = call;
  const change = readConfigChange(params);
  checkSkipLock(call);
  if (!params.flag('skiplock')) cluster.checkLock(vm);
  checkConfigChange(vm, change);
  checkConfigPrivileges(call, vm, change, undefined);
  checkStoragePrivileges(call, change);
  if (!inBackground) {
    await underVmLock(cluster, vm, () => applyConfigChange(cluster, vm, change));
    return null;
  }
  const start = { node: vm.node, type: 'qmconfig', id: String(vm.vmid), authId };
  return cluster.tasks.start(start, () =>
    underVmLock(cluster, vm, () => applyConfigChange(cluster, vm, change)),
  );
}

/** Throws where somebody else than root asks that a lock be overlooked: not even a token of root's may. */
export function checkSkipLock({ params, authId }: Call): void {
  if (params.flag('skiplock') && authId !== 'root@pam') {
    throw PveError.parameters({ skiplock: 'Only root may use this option.' });
  }
}

/** Throws the 403 for the first setting that the caller may not touch. */
export function checkConfigPrivileges(
  call: Call,
  vm: Vm,
  change: ConfigChange,
  pool: string | undefined,
): void {
  const settings = [
    ...change.set,
    ...[...change.remove, ...change.revert].map((key): [string, string] => [key, vm.config.get(key) ?? '']),
  ];
  for (const [key, value] of settings) {
    const privileges = privilegesFor(key, value);
    if (privileges === 'root') {
      if (call.authId !== 'root@pam') throw PveError.failed(`only root can set '${key}' config`);
      continue;
    }
    const path = `/vms/${vm.vmid}`;
    const { access } = call.cluster;
    const mayInPool = pool !== undefined && access.has(call.authId, `/pool/${pool}`, privileges, true);
    if (!mayInPool) demand(call, path, privileges, true);
    const bridge = /^net\d+$/.test(key) ? /(?:^|,)bridge=([^,]+)/.exec(value)?.[1] : undefined;
    if (bridge !== undefined && call.cluster.version.major >= 8)
      demand(call, `/sdn/zones/localnetwork/${bridge}`, ['SDN.Use']);
  }
}

/** Throws the 403 where a new disk would be on a storage that the caller may not use. */
export function checkStoragePrivileges(call: Call, change: ConfigChange): void {
  for (const [key, value] of change.set) {
    if (!DRIVE_KEY.test(key)) continue;
    const drive = parseDrive(value);
    const [, storage, what] = /^([^:]+):(.+)$/.exec(drive.volume) ?? [];
    if (storage === undefined || what === undefined || what === 'cloudinit') continue;
    if (/^\d+(\.\d+)?$/.test(what)) demand(call, `/storage/${storage}`, ['Datastore.AllocateSpace']);
    else if (isCdrom(drive))
      demand(call, `/storage/${storage}`, ['Datastore.Audit', 'Datastore.AllocateSpace'], true);
    const from = drive.options.get('import-from');
    if (from?.startsWith('/') === true && call.authId !== 'root@pam')
      throw new PveError(403, `Only root can pass arbitrary filesystem paths.`);
  }
}

/** A configuration as it is shown: with what waits for the next start unless `current`, passwords hidden. */
export function shownConfig(vm: Vm, current: boolean, snapshot: string | undefined): Record<string, unknown> {
  if (snapshot !== undefined) {
    const found = vm.snapshots.get(snapshot);
    if (found === undefined) throw PveError.failed(`snapshot '${snapshot}' does not exist`);
    return Object.fromEntries([...found.config].map(([key, value]) => [key, shownValue(key, value)]));
  }
  const config = new Map(vm.config);
  for (const [key, value] of current ? [] : vm.pending) {
    if (value === null) config.delete(key);
    else config.set(key, value);
  }
  const shown = Object.fromEntries([...config].map(([key, value]) => [key, shownValue(key, value)]));
  return {
    ...shown,
    ...(vm.lock === undefined ? {} : { lock: vm.lock }),
    ...(vm.snapshotParent === undefined ? {} : { parent: vm.snapshotParent }),
    digest: vm.digest,
  };
}

const NUMBERS =
  /^(cores|sockets|vcpus|balloon|cpuunits|onboot|template|numa|acpi|kvm|protection|ciupgrade|tablet|autostart|freeze|localtime|reboot|tdf|migrate_downtime|shares)$/;

/** A setting as it is shown. */
export function shownValue(key: string, value: string): string | number {
  if (key === 'cipassword') return HIDDEN;
  return NUMBERS.test(key) && /^\d+$/.test(value) ? Number(value) : value;
}
