/** What can still be sold of a cluster. PURE. */
import type { FreeCapacity, StorageRoom } from '../provisioner.ts';
import { freeMemoryMb } from './place-vm.ts';
import type { ProxmoxSettings } from './proxmox-options.ts';
import type { PveResource, PveResources } from './pve-cluster.ts';

const GIB = 1024 ** 3;

/** What is free, where `freeVmids` can still be claimed and disks go to `storages` only. */
export function capacityOf(
  resources: PveResources,
  settings: ProxmoxSettings,
  {
    freeVmids,
    freeAddresses,
    storages,
  }: { freeVmids: number; freeAddresses: number | null; storages: ReadonlySet<string> },
): FreeCapacity {
  const { vmids, capacity } = settings;
  const nodes = resources.nodes.filter(
    ({ node, status }) => status === 'online' && (settings.nodes?.includes(node ?? '') ?? true),
  );
  const ours = resources.vms.filter(({ vmid }) => vmid >= vmids.first && vmid <= vmids.last);
  const cpuAll = capacity.cpu ?? nodes.reduce((sum, { maxcpu = 0 }) => sum + maxcpu, 0);
  const cpuTaken = ours.reduce((sum, { maxcpu = 0 }) => sum + maxcpu, 0);
  const limit = capacity.instances === null ? freeVmids : capacity.instances - ours.length;
  const rooms = roomOf(resources.storages, nodes, storages, capacity.diskReserveShare);
  return {
    cpu: Math.max(0, Math.floor(cpuAll - cpuTaken)),
    memoryMb: nodes.reduce((sum, { node = '' }) => sum + freeMemoryMb(node, resources, settings), 0),
    diskGb: rooms.reduce((sum, { freeGb }) => sum + freeGb, 0),
    instances: Math.max(0, Math.min(limit, freeVmids)),
    storages: rooms,
    ...(freeAddresses === null ? {} : { addresses: freeAddresses }),
  };
}

/** Room by storage: a shared one once, others once for each node. */
function roomOf(
  lines: readonly PveResource[],
  nodes: readonly PveResource[],
  wanted: ReadonlySet<string>,
  reserveShare: number,
): StorageRoom[] {
  const online = new Set(nodes.map(({ node }) => node));
  const rooms = new Map<string, number>();
  for (const { storage = '', node = '', shared, maxdisk = 0, disk = 0, status } of lines) {
    if (!wanted.has(storage) || !online.has(node) || status !== 'available') continue;
    const name = shared === 1 ? storage : `${storage}@${node}`;
    rooms.set(name, Math.max(0, Math.floor((maxdisk * (1 - reserveShare) - disk) / GIB)));
  }
  return [...rooms].map(([name, freeGb]) => ({ name, freeGb }));
}
