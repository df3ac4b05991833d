/** Calls about VMs: lists, making, cloning, configuration, power, templates, destroying. */
import { demand, may } from '../access/check-permission.ts';
import { cloneVm } from '../cluster/clone-vm.ts';
import { createVm, destroyVm, makeTemplate } from '../cluster/destroy-vm.ts';
import { formatSize, parseDrive, parseSize } from '../cluster/disks.ts';
import { restartVm, seedCloudInit, shutDownVm, startVm, stopVm } from '../cluster/power-vm.ts';
import { resizeDisk } from '../cluster/resize-disk.ts';
import { Vm } from '../cluster/vm.ts';
import { storageOfVolume } from '../cluster/volumes.ts';
import { checkConfigChange } from '../cluster/change-config.ts';
import { PveError } from '../http/pve-error.ts';
import {
  changeConfig,
  checkSkipLock,
  checkStoragePrivileges,
  readConfigChange,
  shownConfig,
  CHANGE_PARAMETERS,
  CONFIG_PARAMETERS,
  checkConfigPrivileges,
} from './config-calls.ts';
import { cloudInitState, pendingState } from './pending-calls.ts';
import {
  DNS_NAME,
  FLAG,
  NODE,
  opt,
  perm,
  POOL,
  STORAGE,
  TEXT,
  VMID,
  type Call,
  type Permission,
  type Route,
} from './route.ts';
import { vmStatus, vmSummary } from './vm-status.ts';

const AT_VM = { node: NODE, vmid: VMID };
const TIMEOUT = { type: 'integer', optional: true, minimum: 0 } as const;

const CLONE_PERMISSION: Permission = {
  and: [
    perm('/vms/{vmid}', 'VM.Clone'),
    { or: [perm('/vms/{newid}', 'VM.Allocate'), perm('/pool/{pool}', 'VM.Allocate')] },
  ],
  also: 'Datastore.AllocateSpace on /storage/{storage} of each disk; from 8 SDN.Use on /sdn/zones/localnetwork/{bridge} of each card: 403.',
};

export const QEMU_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/qemu',
    parameters: { node: NODE, full: FLAG },
    permission: { user: 'all', also: 'VM.Audit on /vms/{vmid}: not listed without.' },
    handle: (call) =>
      [...call.cluster.vms.values()]
        .filter((vm) => vm.node === call.params.text('node') && may(call, `/vms/${vm.vmid}`, ['VM.Audit']))
        .map((vm) => vmSummary(call.cluster, vm)),
  },
  {
    method: 'POST',
    path: '/nodes/{node}/qemu',
    parameters: {
      ...CONFIG_PARAMETERS,
      ...AT_VM,
      pool: opt(POOL),
      start: FLAG,
      unique: FLAG,
      storage: opt(STORAGE),
      'import-working-storage': { ...opt(STORAGE), since: 8 },
    },
    permission: {
      user: 'all',
      also: 'VM.Allocate on /vms/{vmid} or /pool/{pool}; what each setting needs; Datastore.AllocateSpace on /storage/{storage} of each new disk; from 8 SDN.Use on the bridges: 403.',
    },
    handle: (call) => create(call),
  },
  {
    method: 'DELETE',
    path: '/nodes/{node}/qemu/{vmid}',
    parameters: { ...AT_VM, purge: FLAG, 'destroy-unreferenced-disks': FLAG, skiplock: FLAG },
    permission: perm('/vms/{vmid}', 'VM.Allocate'),
    handle: (call) => {
      checkSkipLock(call);
      return destroyVm(call.cluster, vmOf(call), call.authId);
    },
  },
  {
    method: 'POST',
    path: '/nodes/{node}/qemu/{vmid}/clone',
    parameters: {
      ...AT_VM,
      newid: VMID,
      name: opt(DNS_NAME),
      description: opt(TEXT),
      pool: opt(POOL),
      full: FLAG,
      storage: opt(STORAGE),
      target: opt(NODE),
      format: { type: 'string', optional: true, enum: ['raw', 'qcow2', 'vmdk'] },
      snapname: opt(TEXT),
      bwlimit: { type: 'integer', optional: true, minimum: 0 },
    },
    permission: CLONE_PERMISSION,
    handle: (call) => clone(call),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/qemu/{vmid}/config',
    parameters: { ...AT_VM, current: FLAG, snapshot: opt(TEXT) },
    permission: perm('/vms/{vmid}', 'VM.Audit'),
    handle: (call) => shownConfig(vmOf(call), call.params.flag('current'), call.params.textOr('snapshot')),
  },
  {
    method: 'POST',
    path: '/nodes/{node}/qemu/{vmid}/config',
    parameters: {
      ...CONFIG_PARAMETERS,
      ...CHANGE_PARAMETERS,
      ...AT_VM,
      background_delay: opt({ type: 'integer', minimum: 1, maximum: 30 }),
    },
    permission: configPermission(),
    handle: (call) => changeConfig(call, vmOf(call), true),
  },
  {
    method: 'PUT',
    path: '/nodes/{node}/qemu/{vmid}/config',
    parameters: { ...CONFIG_PARAMETERS, ...CHANGE_PARAMETERS, ...AT_VM },
    permission: configPermission(),
    handle: (call) => changeConfig(call, vmOf(call), false),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/qemu/{vmid}/pending',
    parameters: AT_VM,
    permission: perm('/vms/{vmid}', 'VM.Audit'),
    handle: (call) => pendingState(vmOf(call)),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/qemu/{vmid}/cloudinit',
    parameters: AT_VM,
    permission: perm('/vms/{vmid}', 'VM.Audit'),
    handle: (call) => cloudInitState(vmOf(call), call.cluster.version.major),
  },
  {
    method: 'PUT',
    path: '/nodes/{node}/qemu/{vmid}/cloudinit',
    parameters: AT_VM,
    permission: perm('/vms/{vmid}', 'VM.Config.Cloudinit'),
    handle: (call) => {
      const vm = vmOf(call);
      call.cluster.checkLock(vm);
      seedCloudInit(vm);
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/qemu/{vmid}/status/current',
    parameters: AT_VM,
    permission: perm('/vms/{vmid}', 'VM.Audit'),
    handle: (call) => vmStatus(call.cluster, vmOf(call)),
  },
  power('start', (call) => startVm(call.cluster, vmOf(call), call), { timeout: TIMEOUT, machine: opt(TEXT) }),
  power('stop', (call) => stopVm(call.cluster, vmOf(call), call), {
    timeout: TIMEOUT,
    keepActive: FLAG,
    'overrule-shutdown': { ...FLAG, since: 8 },
  }),
  power('shutdown', (call) => shutDown(call), { timeout: TIMEOUT, forceStop: FLAG, keepActive: FLAG }),
  power('reset', (call) => restartVm(call.cluster, vmOf(call), 'qmreset', call.authId), {}),
  power('reboot', (call) => restartVm(call.cluster, vmOf(call), 'qmreboot', call.authId), {
    timeout: TIMEOUT,
  }),
  {
    method: 'PUT',
    path: '/nodes/{node}/qemu/{vmid}/resize',
    parameters: {
      ...AT_VM,
      disk: { type: 'string', pattern: /^(scsi|virtio|sata|ide)\d+$|^efidisk0$|^tpmstate0$/ },
      size: { type: 'string', pattern: /^\+?\d+(\.\d+)?[KMGT]?$/ },
      digest: opt(TEXT),
      skiplock: FLAG,
    },
    permission: perm('/vms/{vmid}', 'VM.Config.Disk'),
    handle: (call) => resize(call),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/qemu/{vmid}/feature',
    parameters: {
      ...AT_VM,
      feature: { type: 'string', enum: ['snapshot', 'clone', 'copy'] },
      snapname: opt(TEXT),
    },
    permission: perm('/vms/{vmid}', 'VM.Audit'),
    handle: (call) => feature(call),
  },
  {
    method: 'POST',
    path: '/nodes/{node}/qemu/{vmid}/template',
    parameters: { ...AT_VM, disk: opt(TEXT) },
    permission: perm('/vms/{vmid}', 'VM.Allocate'),
    handle: (call) => {
      const upid = makeTemplate(call.cluster, vmOf(call), call.authId);
      return upid;
    },
  },
];

function configPermission(): Permission {
  const names = ['Disk', 'CDROM', 'CPU', 'Memory', 'Network', 'HWType', 'Options', 'Cloudinit'];
  return {
    path: '/vms/{vmid}',
    privileges: names.map((name) => `VM.Config.${name}`),
    any: true,
    also: 'What each setting needs (VM.Config.* of its kind), Datastore.AllocateSpace for new disks, from 8 SDN.Use on the bridges: 403.',
  };
}

function power(verb: string, handle: Route['handle'], parameters: Route['parameters']): Route {
  return {
    method: 'POST',
    path: `/nodes/{node}/qemu/{vmid}/status/${verb}`,
    parameters: { ...AT_VM, ...(verb === 'reboot' ? {} : { skiplock: FLAG }), ...parameters },
    permission: perm('/vms/{vmid}', 'VM.PowerMgmt'),
    // What is on can be switched off whatever the cluster thinks.
    needsQuorum: verb === 'start',
    handle: (call) => {
      checkSkipLock(call);
      return handle(call);
    },
  };
}

/** The VM that a call is about. */
export function vmOf({ cluster, params }: Call): Vm {
  return cluster.vmOn(params.text('node'), params.integer('vmid'));
}

function create(call: Call): string {
  const { cluster, params, authId } = call;
  const vmid = params.integer('vmid');
  const pool = params.textOr('pool');
  const mayHere =
    may(call, `/vms/${vmid}`, ['VM.Allocate']) ||
    (pool !== undefined && may(call, `/pool/${pool}`, ['VM.Allocate']));
  if (!mayHere) throw new PveError(403, 'Permission check failed');
  if (pool !== undefined && !cluster.pools.has(pool)) throw PveError.failed(`pool '${pool}' does not exist`);
  const vm = new Vm(vmid, params.text('node'), cluster.clock.monotonic());
  const change = readConfigChange(params);
  checkConfigChange(vm, change);
  checkConfigPrivileges(call, vm, change, pool);
  checkStoragePrivileges(call, change);
  return createVm(cluster, vm, change, { authId, pool });
}

function clone(call: Call): string {
  const { cluster, params, authId } = call;
  const source = vmOf(call);
  const pool = params.textOr('pool');
  if (pool !== undefined && !cluster.pools.has(pool)) throw PveError.failed(`pool '${pool}' does not exist`);
  const storage = params.textOr('storage');
  for (const [, drive] of source.disks()) {
    demand(call, `/storage/${storage ?? drive.volume.split(':')[0] ?? ''}`, ['Datastore.AllocateSpace']);
  }
  if (cluster.version.major >= 8) {
    for (const { bridge } of source.nics()) demand(call, `/sdn/zones/localnetwork/${bridge}`, ['SDN.Use']);
  }
  return cloneVm(cluster, source, {
    newid: params.integer('newid'),
    name: params.textOr('name'),
    description: params.textOr('description'),
    pool,
    full: params.has('full') ? params.flag('full') : undefined,
    storage,
    target: params.textOr('target'),
    snapname: params.textOr('snapname'),
    authId,
  });
}

function shutDown(call: Call): string {
  const { params, authId } = call;
  const timeout = params.has('timeout') ? { timeoutMs: params.integer('timeout') * 1_000 } : {};
  return shutDownVm(call.cluster, vmOf(call), { authId, forceStop: params.flag('forceStop'), ...timeout });
}

function resize(call: Call): string | Promise<null> {
  const { cluster, params, authId } = call;
  const vm = vmOf(call);
  const key = params.text('disk');
  const text = vm.config.get(key);
  cluster.checkLock(vm);
  if (text === undefined) throw PveError.failed(`disk '${key}' does not exist`);
  const oldBytes = parseSize(parseDrive(text).options.get('size') ?? '0') ?? 0;
  const given = params.text('size');
  const bytes = parseSize(given.replace('+', '')) ?? 0;
  const newBytes = given.startsWith('+') ? oldBytes + bytes : bytes;
  if (newBytes < oldBytes) throw PveError.failed('shrinking disks is not supported');
  return resizeDisk(cluster, vm, key, { bytes: newBytes, text: formatSize(newBytes), authId });
}

/** Whether all disks of a VM can be snapshotted, cloned linked, or copied, and on which nodes. */
function feature(call: Call): unknown {
  const { cluster, params } = call;
  const vm = vmOf(call);
  const name = params.text('feature');
  const storages = vm.disks().map(([, drive]) => storageOfVolume(cluster, drive.volume, vm.node));
  const hasFeature = storages.every(
    ({ abilities }) =>
      name === 'copy' || (name === 'clone' ? abilities.canClone && vm.isTemplate : abilities.canSnapshot),
  );
  const isShared = storages.every(({ abilities }) => abilities.isShared);
  return { hasFeature: Number(hasFeature), nodes: isShared ? [...cluster.nodes.keys()] : [vm.node] };
}
