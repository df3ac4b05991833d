/** Starts, stops and shuts down VMs. */
import { sleep } from '@dc/shared/clock';
import { readCloudInit } from '../guests/cloud-init.ts';
import type { MachineSpec } from '../guests/machine.ts';
import { PveError } from '../http/pve-error.ts';
import { isCloudInitKey } from './config-keys.ts';
import type { Cluster } from './cluster.ts';
import { isCdrom } from './disks.ts';
import { taskTime } from './task-time.ts';
import type { TaskRun } from './tasks.ts';
import type { Vm } from './vm.ts';
import { underVmLock } from './vm-lock.ts';
import { diskName, volumeOf } from './volumes.ts';

const POWER_CHECK_MS = 250; // How often a shutdown looks whether the guest is off.

/** Who asks, and for how long a task may wait. */
export interface PowerRequest {
  readonly authId: string;
  readonly timeoutMs?: number;
  readonly forceStop?: boolean;
}

/** Begins a start; answers the UPID. */
export function startVm(cluster: Cluster, vm: Vm, { authId }: PowerRequest): string {
  cluster.checkLock(vm);
  return task(cluster, vm, { type: 'qmstart', authId }, async (run) => {
    await underVmLock(cluster, vm, async () => {
      cluster.checkLock(vm);
      if (vm.isTemplate) throw PveError.failed("you can't start a vm if it's a template");
      if (vm.isRunning) throw PveError.failed(`VM ${vm.vmid} already running`);
      applyPending(vm);
      checkMemory(cluster, vm);
      checkBridges(cluster, vm);
      seedCloudInit(vm);
      if (vm.cloudInitDrive() !== undefined) run.log('generating cloud-init ISO');
      const spec = machineSpec(cluster, vm);
      await taskTime(cluster, run, 'startMs');
      cluster.setMachine(vm, await cluster.guests.boot(spec, () => cluster.setMachine(vm, undefined)));
      vm.pid = 1_000 + cluster.below(4_000_000);
    });
  });
}

/** Begins to pull the plug; answers the UPID. Stopping what is off succeeds. */
export function stopVm(cluster: Cluster, vm: Vm, { authId }: PowerRequest): string {
  return task(cluster, vm, { type: 'qmstop', authId }, async (run) => {
    await underVmLock(cluster, vm, async () => {
      cluster.checkLock(vm);
      await taskTime(cluster, run, 'stopMs');
      await vm.machine?.stop();
      cluster.setMachine(vm, undefined);
    });
  });
}

/** Begins to press the power button and wait; answers the UPID. */
export function shutDownVm(cluster: Cluster, vm: Vm, request: PowerRequest): string {
  const { authId, timeoutMs = 60_000, forceStop = false } = request;
  return task(cluster, vm, { type: 'qmshutdown', authId }, async (run) => {
    const { machine } = vm;
    if (machine === undefined) return;
    machine.pressPowerButton();
    const until = cluster.clock.monotonic() + timeoutMs;
    while (vm.machine === machine && cluster.clock.monotonic() < until) {
      await sleep(cluster.clock, Math.min(POWER_CHECK_MS, timeoutMs), run.signal);
    }
    if (vm.machine !== machine) return;
    if (!forceStop) throw PveError.failed('VM quit/powerdown failed - got timeout');
    run.warn('VM still running - terminating now with SIGTERM');
    await machine.stop();
    cluster.setMachine(vm, undefined);
  });
}

/** Begins to press reset, or to reboot by way of the power button; answers the UPID. */
export function restartVm(cluster: Cluster, vm: Vm, kind: 'qmreset' | 'qmreboot', authId: string): string {
  if (!vm.isRunning) throw PveError.failed(`VM ${vm.vmid} not running`);
  return task(cluster, vm, { type: kind, authId }, async () => {
    await vm.machine?.reset();
  });
}

/** Writes the cloud-init drive anew from the configuration. */
export function seedCloudInit(vm: Vm): void {
  vm.seededWith = new Map([...vm.config].filter(([key]) => isCloudInitKey(key)));
}

/** Lets what was waiting for the next start take effect. */
export function applyPending(vm: Vm): void {
  for (const [key, value] of vm.pending) {
    if (value === null) vm.config.delete(key);
    else vm.config.set(key, value);
  }
  vm.pending.clear();
}

/** Starts a task about a VM on its node; answers the UPID. */
export function task(
  cluster: Cluster,
  vm: Vm,
  { type, authId }: { readonly type: string; readonly authId: string },
  work: (run: TaskRun) => Promise<void>,
): string {
  return cluster.tasks.start({ node: vm.node, type, id: String(vm.vmid), authId }, work);
}

/** QEMU does not start where its memory cannot be had; how much is in use is what running VMs are configured with. */
function checkMemory(cluster: Cluster, vm: Vm): void {
  const node = cluster.nodes.get(vm.node);
  const running = [...cluster.vms.values()].filter((other) => other.node === vm.node && other.isRunning);
  const wantedMb = running.reduce((sum, other) => sum + other.memoryMb, vm.memoryMb);
  if (node !== undefined && wantedMb * 1024 ** 2 > node.memoryBytes) {
    throw PveError.failed(
      `start failed: QEMU exited with code 1: cannot set up guest memory 'pc.ram': Cannot allocate memory`,
    );
  }
}

/** QEMU does not start where a card is to be on a bridge that the node does not have. */
function checkBridges(cluster: Cluster, vm: Vm): void {
  const bridges = cluster.nodes.get(vm.node)?.bridges ?? [];
  const missing = vm.nics().find(({ bridge }) => bridge !== '' && !bridges.includes(bridge));
  if (missing !== undefined) throw PveError.failed(`bridge '${missing.bridge}' does not exist`);
}

function machineSpec(cluster: Cluster, vm: Vm): MachineSpec {
  for (const [, drive] of vm.drives()) {
    if (!isCdrom(drive) && drive.volume !== 'none') volumeOf(cluster, vm, drive.volume);
  }
  const boot = vm.bootDisk();
  const bootVolume = boot === undefined ? null : volumeOf(cluster, vm, boot[1].volume);
  const nics = vm.nics();
  const macOf = (index: number): string | undefined => nics.find((nic) => nic.index === index)?.mac;
  const seedConfig = new Map([...vm.seededWith]);
  const name = vm.config.get('name');
  if (name !== undefined) seedConfig.set('name', name);
  return {
    vmid: vm.vmid,
    name: vm.name,
    node: vm.node,
    cores: vm.cores,
    memoryMb: vm.memoryMb,
    bootDisk: bootVolume === null ? null : diskName(bootVolume),
    nics,
    seed: vm.cloudInitDrive() === undefined ? null : readCloudInit(seedConfig, vm.vmid, macOf),
    hasAgentDevice: vm.hasAgent,
  };
}
