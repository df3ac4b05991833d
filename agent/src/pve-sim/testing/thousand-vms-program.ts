/** A process of its own with 1,000 running VMs on 5 nodes: prints how much memory it takes, and how long one list does. */
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { cloneVm } from '../cluster/clone-vm.ts';
import { startVm } from '../cluster/power-vm.ts';
import { startPveSimulator } from '../start-pve-simulator.ts';
import { SimClient } from './sim-client.ts';

const VMS_PER_NODE = 200;
const FIRST_VMID = 1_000;
const AUTH = { authId: 'root@pam' };

/** Runs to the end, and ends the process's own work. */
export async function run(): Promise<void> {
  const simulator = await startPveSimulator({
    clock: systemClock,
    random: systemRandom,
    nodes: 5,
    timing: { storageLockMs: 0, lockTimeoutMs: 60_000 },
  });
  const { cluster } = simulator.control;
  const nodes = [...cluster.nodes.keys()];
  for (const [index, node] of nodes.entries()) {
    const template = await simulator.control.addVm({ vmid: 100 + index, node, template: true });
    const vmids = Array.from(
      { length: VMS_PER_NODE },
      (_, number) => FIRST_VMID + index * VMS_PER_NODE + number,
    );
    const request = {
      description: undefined,
      pool: undefined,
      full: false,
      storage: undefined,
      target: undefined,
      snapname: undefined,
      ...AUTH,
    };
    const upids = vmids.map((newid) =>
      cloneVm(cluster, template, { ...request, newid, name: `vm-${newid}` }),
    );
    await Promise.all(upids.map((upid) => until(() => cluster.tasks.get(upid)?.exitstatus !== undefined)));
    for (const vmid of vmids) {
      const vm = cluster.vmOn(node, vmid);
      vm.config.set('memory', '16');
      startVm(cluster, vm, AUTH);
    }
  }
  await until(
    () => [...cluster.vms.values()].filter((vm) => vm.isRunning).length === nodes.length * VMS_PER_NODE,
  );
  const client = new SimClient(simulator);
  await until(() => false, 500); // Until the guests have booted.
  const startedAtMs = systemClock.monotonic();
  const resources = (await client.ok('GET', '/cluster/resources', { type: 'vm' })) as { status: string }[];
  const listMs = systemClock.monotonic() - startedAtMs;
  const running = resources.filter(({ status }) => status === 'running').length;
  process.stdout.write(
    `${JSON.stringify({ running, megabytes: process.memoryUsage.rss() / 1024 ** 2, listMs })}\n`,
  );
  await client.close();
  await simulator.close();
}

async function until(check: () => boolean, givesUpAfterMs = 60_000): Promise<void> {
  const endMs = systemClock.monotonic() + givesUpAfterMs;
  while (!check() && systemClock.monotonic() < endMs) await new Promise((resolve) => setTimeout(resolve, 5));
}

if (process.argv[1] === import.meta.filename) await run();
