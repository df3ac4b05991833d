/** Puts a cluster together from the options of a simulator. */
import { AccessControl } from './access/access-control.ts';
import type { PveVersion } from './access/privileges.ts';
import { Cluster, type ClusterNode, type Pool } from './cluster/cluster.ts';
import { Storages, type StorageOptions } from './cluster/storages.ts';
import { Tasks } from './cluster/tasks.ts';
import { QUICK } from './cluster/timing.ts';
import type { Vm } from './cluster/vm.ts';
import type { Faults } from './faults/faults.ts';
import { SimulatedGuests } from './guests/simulated-guests.ts';
import type { NodeOptions, PveSimulatorOptions } from './simulator-options.ts';

const NODE_MEMORY_BYTES = 64 * 1024 ** 3;
const GUEST_SSH_PORT = 2_222;
/** What an installation comes with. */
const STORAGES: readonly StorageOptions[] = [
  { storage: 'local', type: 'dir' },
  { storage: 'local-lvm', type: 'lvmthin' },
];

/** The cluster, with nothing on it. */
export function buildCluster(options: PveSimulatorOptions, version: PveVersion, faults: Faults): Cluster {
  const { clock, random } = options;
  const timing = { ...QUICK, ...options.timing };
  const vms = new Map<number, Vm>();
  const pools = new Map<string, Pool>();
  const guests =
    options.guests ??
    new SimulatedGuests({
      clock,
      random,
      timing,
      sshPort: options.guestSshPort ?? GUEST_SSH_PORT,
      addressOffset: Buffer.from(random.bytes(4)).readUInt32BE(),
      behaviourOf: (spec) => ({ ...options.behaviourOf?.(spec), ...faults.ofBoot(spec) }),
      onLease: options.onLease ?? (() => {}),
    });
  return new Cluster({
    clock,
    random,
    version,
    timing,
    guests,
    vms,
    pools,
    nodes: nodesOf(options.nodes ?? 1),
    storages: new Storages(options.storages ?? STORAGES, clock, timing.lockTimeoutMs),
    access: new AccessControl(version, (path) => poolOf(path, vms, pools)),
    tasks: new Tasks(clock, (run, work) => faults.runTask(run, work)),
  });
}

function poolOf(
  path: string,
  vms: ReadonlyMap<number, Vm>,
  pools: ReadonlyMap<string, Pool>,
): string | undefined {
  const vmid = /^\/vms\/(\d+)$/.exec(path)?.[1];
  if (vmid !== undefined) return vms.get(Number(vmid))?.pool;
  const storage = /^\/storage\/([^/]+)$/.exec(path)?.[1];
  return storage === undefined ? undefined : [...pools].find(([, pool]) => pool.storages.has(storage))?.[0];
}

function nodesOf(nodes: number | readonly NodeOptions[]): ClusterNode[] {
  const list =
    typeof nodes === 'number'
      ? Array.from({ length: nodes }, (_, index): NodeOptions => ({ name: `pve${index + 1}` }))
      : nodes;
  return list.map(({ name, cores = 16, memoryBytes = NODE_MEMORY_BYTES, bridges = ['vmbr0'] }, index) => ({
    name,
    nodeid: index + 1,
    ip: `192.0.2.${index + 11}`,
    cores,
    memoryBytes,
    bridges,
    isOnline: true,
  }));
}
