/** Calls about storages and what is on them. */
import { createHash } from 'node:crypto';
import { sleep } from '@dc/shared/clock';
import { demand, may } from '../access/check-permission.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Storage, Volume } from '../cluster/storages.ts';
import { PveError } from '../http/pve-error.ts';
import {
  NODE,
  opt,
  perm,
  permAny,
  STORAGE,
  TEXT,
  VMID,
  FLAG,
  type Call,
  type Permission,
  type Route,
} from './route.ts';

const LISTING = 'Datastore.Audit or Datastore.AllocateSpace on /storage/{storage}: not listed without.';
const DOWNLOAD_MS = 50;
const IMAGE_BYTES = 400 * 1024 ** 2;

export const STORAGE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/storage',
    parameters: { type: opt(TEXT) },
    permission: { user: 'all', also: LISTING },
    handle: (call) =>
      call.cluster.storages
        .all()
        .filter(
          (storage) =>
            mayList(call, storage) &&
            (!call.params.has('type') || storage.options.type === call.params.text('type')),
        )
        .map(storageConfig),
  },
  {
    method: 'GET',
    path: '/storage/{storage}',
    parameters: { storage: STORAGE },
    permission: perm('/storage/{storage}', 'Datastore.Allocate'),
    handle: ({ cluster, params }) => storageConfig(existing(cluster, params.text('storage'))),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage',
    parameters: {
      node: NODE,
      storage: opt(STORAGE),
      content: opt(TEXT),
      enabled: FLAG,
      target: opt(NODE),
      format: FLAG,
    },
    permission: { user: 'all', also: LISTING },
    handle: (call) => listStorages(call),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage/{storage}/status',
    parameters: { node: NODE, storage: STORAGE },
    permission: permAny('/storage/{storage}', 'Datastore.Audit', 'Datastore.AllocateSpace'),
    handle: ({ cluster, params }) => {
      const storage = existing(cluster, params.text('storage'));
      const {
        storage: _name,
        used_fraction: _fraction,
        ...rest
      } = storageStatus(cluster, storage, params.text('node'));
      return rest;
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage/{storage}/content',
    parameters: { node: NODE, storage: STORAGE, content: opt(TEXT), vmid: opt(VMID) },
    permission: {
      ...permAny('/storage/{storage}', 'Datastore.Audit', 'Datastore.AllocateSpace'),
      also: 'Datastore.Allocate, or VM.Audit… on the VM of each volume: not listed without.',
    },
    handle: (call) => listContent(call),
  },
  {
    method: 'DELETE',
    path: '/nodes/{node}/storage/{storage}/content/{volume}',
    parameters: {
      node: NODE,
      storage: opt(STORAGE),
      volume: TEXT,
      delay: { type: 'integer', optional: true, minimum: 1, maximum: 30 },
    },
    permission: { user: 'all', also: 'Datastore.Allocate on /storage/{storage}: 403.' },
    needsQuorum: false,
    handle: (call) => deleteVolume(call),
  },
  {
    method: 'POST',
    path: '/nodes/{node}/storage/{storage}/download-url',
    parameters: {
      node: NODE,
      storage: STORAGE,
      url: TEXT,
      content: { type: 'string', enum: ['iso', 'vztmpl', 'import'] },
      filename: TEXT,
      checksum: opt(TEXT),
      'checksum-algorithm': {
        type: 'string',
        optional: true,
        enum: ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'],
      },
      compression: { ...opt(TEXT), since: 8 },
      'verify-certificates': FLAG,
    },
    permission: (major) => {
      const network = perm('/', 'Sys.Audit', 'Sys.Modify');
      const orNode: Permission = { or: [network, perm('/nodes/{node}', 'Sys.AccessNetwork')] };
      return {
        and: [perm('/storage/{storage}', 'Datastore.AllocateTemplate'), major >= 8 ? orNode : network],
      };
    },
    needsQuorum: false,
    handle: (call) => download(call),
  },
];

function mayList(call: Call, storage: Storage): boolean {
  return may(
    call,
    `/storage/${storage.options.storage}`,
    ['Datastore.Audit', 'Datastore.AllocateSpace'],
    true,
  );
}

function existing(cluster: Cluster, name: string): Storage {
  const storage = cluster.storages.find(name);
  if (storage === undefined) throw PveError.failed(`storage '${name}' does not exist`);
  return storage;
}

function storageConfig(storage: Storage): Record<string, unknown> {
  const { storage: name, type, nodes } = storage.options;
  return {
    storage: name,
    type,
    content: storage.content.join(','),
    digest: '0'.repeat(40),
    ...(nodes === undefined ? {} : { nodes: nodes.join(',') }),
    ...(storage.abilities.isShared ? { shared: 1 } : {}),
    ...(storage.isDisabled ? { disable: 1 } : {}),
    ...(storage.abilities.isFiles ? { path: type === 'nfs' ? `/mnt/pve/${name}` : '/var/lib/vz' } : {}),
  };
}

function listStorages(call: Call): unknown[] {
  const { cluster, params } = call;
  const node = params.text('node');
  const content = params.textOr('content')?.split(',');
  return cluster.storages
    .all()
    .filter(
      (storage) =>
        storage.isOn(node) &&
        mayList(call, storage) &&
        (!params.has('storage') || storage.options.storage === params.text('storage')) &&
        (!params.flag('enabled') || !storage.isDisabled) &&
        (content === undefined || content.some((each) => storage.content.includes(each))),
    )
    .map((storage) => storageStatus(cluster, storage, node));
}

function storageStatus(cluster: Cluster, storage: Storage, node: string): Record<string, unknown> {
  const used = Math.min(cluster.storages.usedBytes(storage, node), storage.totalBytes);
  const total = storage.totalBytes;
  return {
    storage: storage.options.storage,
    type: storage.options.type,
    content: storage.content.join(','),
    active: Number(!storage.isDisabled),
    enabled: Number(!storage.isDisabled),
    shared: Number(storage.abilities.isShared),
    total,
    used,
    avail: total - used,
    used_fraction: used / total,
  };
}

function listContent(call: Call): unknown[] {
  const { cluster, params } = call;
  const node = params.text('node');
  const storage = cluster.storages.on(params.text('storage'), node);
  const isAdmin = may(call, `/storage/${storage.options.storage}`, ['Datastore.Allocate']);
  return cluster.storages
    .volumes(storage, node)
    .filter(
      (volume) =>
        (!params.has('content') || volume.content === params.text('content')) &&
        (!params.has('vmid') || volume.vmid === params.integer('vmid')) &&
        (isAdmin ||
          volume.vmid === null ||
          may(call, `/vms/${volume.vmid}`, ['VM.Config.Disk', 'VM.Backup'], true)),
    )
    .map(volumeEntry);
}

function volumeEntry(volume: Volume): Record<string, unknown> {
  return {
    volid: volume.volid,
    content: volume.content,
    format: volume.format,
    size: volume.sizeBytes,
    used: volume.usedBytes,
    ctime: volume.ctime,
    ...(volume.vmid === null ? {} : { vmid: volume.vmid }),
    ...(volume.parent === undefined ? {} : { parent: volume.parent }),
  };
}

function deleteVolume(call: Call): string | null {
  const { cluster, params, authId } = call;
  const node = params.text('node');
  const given = params.text('volume');
  const volid = given.includes(':') ? given : `${params.text('storage')}:${given}`;
  const name = volid.slice(0, volid.indexOf(':'));
  demand(call, `/storage/${name}`, ['Datastore.Allocate']);
  const volume = cluster.storages.volume(volid, node);
  if (volume === undefined) throw PveError.failed(`volume '${volid}' does not exist`);
  return cluster.tasks.start({ node, type: 'imgdel', id: volid.replaceAll(':', '%3A'), authId }, async () => {
    if (cluster.storages.hasClones(volume))
      throw PveError.failed(`base volume '${volid}' is still in use by linked cloned`);
    cluster.storages.remove(volume);
  });
}

/** Pretends to fetch an image. */
function download({ cluster, params, authId }: Call): string {
  const node = params.text('node');
  const storage = cluster.storages.on(params.text('storage'), node);
  const content = params.text('content');
  if (!storage.content.includes(content))
    throw PveError.failed(
      `storage '${storage.options.storage}' is not configured for content-type '${content}'`,
    );
  const volid = `${storage.options.storage}:${content}/${params.text('filename')}`;
  if (cluster.storages.volume(volid, node) !== undefined)
    throw PveError.failed(`refusing to override existing file '${params.text('filename')}'`);
  const checksum = params.textOr('checksum');
  return cluster.tasks.start({ node, type: 'download', id: params.text('filename'), authId }, async (run) => {
    run.log(`downloading ${params.text('url')}`);
    await sleep(cluster.clock, DOWNLOAD_MS, run.signal);
    if (checksum !== undefined && !(await fits(params, checksum)))
      throw PveError.failed('checksum verification failed');
    cluster.storages.add({
      volid,
      node: storage.abilities.isShared ? null : node,
      vmid: null,
      content,
      format: /\.(\w+)$/.exec(volid)?.[1] ?? 'raw',
      sizeBytes: IMAGE_BYTES,
      usedBytes: IMAGE_BYTES,
      parent: undefined,
      ctime: cluster.nowSeconds,
    });
    run.log('download finished');
  });
}

/**
 * Whether what is at the address has the checksum. Only addresses of this machine are asked; of all others there is
 * nothing here, and a checksum of zeros stands for the one that does not fit.
 */
async function fits(params: Call['params'], checksum: string): Promise<boolean> {
  const url = params.text('url');
  if (!/^http:\/\/127\.0\.0\.1:/.test(url)) return !/^0+$/.test(checksum);
  const response = await fetch(url);
  if (!response.ok) throw PveError.failed(`download failed - HTTP ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  return createHash(params.text('checksum-algorithm')).update(bytes).digest('hex') === checksum;
}
