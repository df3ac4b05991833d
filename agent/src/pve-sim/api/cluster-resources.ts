/**
 * `/cluster/resources`: everything in one list, where whoever lacks the privilege for a thing does not see it. What
 * things are is always new; what they do (running or not, numbers) is as old as the last round of statistics.
 */
import { may } from '../access/check-permission.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Call } from './route.ts';
import { vmSummary } from './vm-status.ts';

/** Answers the list. */
export function clusterResources(call: Call): unknown[] {
  const type = call.params.textOr('type');
  const { cluster } = call;
  const isWanted = (kind: string): boolean => type === undefined || type === kind;
  return [
    ...(isWanted('pool') ? pools(call) : []),
    ...(isWanted('vm') ? vms(call) : []),
    ...(isWanted('node') ? nodes(call) : []),
    ...(isWanted('storage') ? storages(call) : []),
    ...(isWanted('sdn') && cluster.version.major >= 8 ? zones(call) : []),
  ];
}

function pools(call: Call): unknown[] {
  const names = [...call.cluster.pools.keys()].filter((pool) => may(call, `/pool/${pool}`, ['Pool.Audit']));
  return names.map((pool) => ({ id: `/pool/${pool}`, type: 'pool', pool }));
}

function vms(call: Call): unknown[] {
  const { cluster } = call;
  return [...cluster.vms.values()]
    .filter((vm) => may(call, `/vms/${vm.vmid}`, ['VM.Audit']))
    .map((vm) => {
      const node = cluster.nodes.get(vm.node);
      const {
        vmid,
        name,
        tags,
        lock,
        maxmem,
        maxdisk,
        mem,
        cpu,
        uptime,
        netin,
        netout,
        diskread,
        diskwrite,
        cpus,
      } = vmSummary(cluster, vm);
      const settled = vm.power.seenBy(cluster.clock.monotonic(), cluster.timing.statisticsMs);
      const state = node?.isOnline === true ? (settled ?? 'unknown') : 'unknown';
      const numbers =
        state === 'running'
          ? { mem, cpu, uptime, netin, netout, diskread, diskwrite }
          : { mem: 0, cpu: 0, uptime: 0, netin: 0, netout: 0, diskread: 0, diskwrite: 0 };
      return {
        id: `qemu/${vm.vmid}`,
        type: 'qemu',
        node: vm.node,
        vmid,
        status: state,
        template: Number(vm.isTemplate),
        ...(name === undefined ? {} : { name }),
        ...(tags === undefined ? {} : { tags }),
        // From 8 on.
        ...(lock === undefined || cluster.version.major < 8 ? {} : { lock }),
        ...(vm.pool === undefined ? {} : { pool: vm.pool }),
        ...(state === 'unknown' ? {} : { maxmem, maxdisk, maxcpu: cpus, disk: 0, ...numbers }),
      };
    });
}

function nodes(call: Call): unknown[] {
  const { cluster } = call;
  return [...cluster.nodes.values()].map((node) => ({
    id: `node/${node.name}`,
    type: 'node',
    node: node.name,
    status: node.isOnline ? 'online' : 'offline',
    'cgroup-mode': 2,
    ...(node.isOnline && may(call, `/nodes/${node.name}`, ['Sys.Audit'])
      ? {
          level: '',
          cpu: 0.02,
          maxcpu: node.cores,
          maxmem: node.memoryBytes,
          mem: 2 * 1024 ** 3,
          disk: 8 * 1024 ** 3,
          maxdisk: 100 * 1024 ** 3,
          uptime: cluster.secondsSince(cluster.startedAtMs) + 86_400,
        }
      : {}),
  }));
}

function storages(call: Call): unknown[] {
  const { cluster } = call;
  return cluster.storages.all().flatMap((storage) => {
    const { storage: name, type } = storage.options;
    if (!may(call, `/storage/${name}`, ['Datastore.Audit'])) return [];
    return [...cluster.nodes.values()]
      .filter((node) => storage.isOn(node.name))
      .map((node) => ({
        id: `storage/${node.name}/${name}`,
        type: 'storage',
        storage: name,
        node: node.name,
        plugintype: type,
        content: storage.content.join(','),
        shared: Number(storage.abilities.isShared),
        ...storageState(cluster, node.isOnline, storage.isDisabled, () => ({
          disk: cluster.storages.usedBytes(storage, node.name),
          maxdisk: storage.totalBytes,
        })),
      }));
  });
}

function storageState(
  _cluster: Cluster,
  isOnline: boolean,
  isDisabled: boolean,
  numbers: () => Record<string, number>,
): Record<string, unknown> {
  if (!isOnline || isDisabled) return { status: 'unknown' };
  return { status: 'available', ...numbers() };
}

function zones(call: Call): unknown[] {
  const { cluster } = call;
  if (!may(call, '/sdn/zones/localnetwork', ['SDN.Audit', 'SDN.Use'], true)) return [];
  return [...cluster.nodes.values()].map((node) => ({
    id: `sdn/${node.name}/localnetwork`,
    type: 'sdn',
    sdn: 'localnetwork',
    node: node.name,
    status: node.isOnline ? 'ok' : 'unknown',
  }));
}
