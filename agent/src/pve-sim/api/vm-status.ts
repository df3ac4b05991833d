/** What lists and states say about a VM. Pure reading. */
import type { Cluster } from '../cluster/cluster.ts';
import type { Vm } from '../cluster/vm.ts';

const IDLE_CPU = 0.01;

/** As in `/nodes/{node}/qemu`. */
export function vmSummary(cluster: Cluster, vm: Vm): Record<string, unknown> {
  const memoryBytes = vm.memoryMb * 1024 ** 2;
  const { isRunning } = vm;
  return {
    vmid: vm.vmid,
    status: isRunning ? 'running' : 'stopped',
    ...(vm.config.has('name') ? { name: vm.config.get('name') } : {}),
    cpus: vm.cores,
    maxmem: memoryBytes,
    maxdisk: vm.bootDiskBytes(),
    mem: isRunning ? Math.trunc(memoryBytes / 4) : 0,
    cpu: isRunning ? IDLE_CPU : 0,
    disk: 0,
    diskread: 0,
    diskwrite: 0,
    netin: 0,
    netout: 0,
    uptime: isRunning ? cluster.secondsSince(vm.startedAtMs) : 0,
    ...(isRunning ? { pid: vm.pid } : {}),
    ...(vm.config.has('tags') ? { tags: vm.config.get('tags') } : {}),
    ...(vm.isTemplate ? { template: 1 } : {}),
    ...(vm.lock === undefined ? {} : { lock: vm.lock }),
  };
}

/** As in `/nodes/{node}/qemu/{vmid}/status/current`. */
export function vmStatus(cluster: Cluster, vm: Vm): Record<string, unknown> {
  const { qemu, major } = cluster.version;
  return {
    ...vmSummary(cluster, vm),
    qmpstatus: vm.isRunning ? 'running' : 'stopped',
    ha: { managed: 0 },
    ...(vm.hasAgent ? { agent: 1 } : {}),
    ...(vm.isRunning ? { 'running-machine': `pc-i440fx-${major + 1}.0+pve0`, 'running-qemu': qemu } : {}),
  };
}
