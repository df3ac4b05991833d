/** The lock on a VM's file: whoever changes it holds it, and who waits too long for it gives up. */
import type { Cluster } from './cluster.ts';
import type { Vm } from './vm.ts';

/** Runs `work` while holding the lock. Fails with `can't lock file … - got timeout`. */
export function underVmLock<T>(
  cluster: Cluster,
  { vmid }: Pick<Vm, 'vmid'>,
  work: () => Promise<T>,
): Promise<T> {
  const text = `can't lock file '/var/lock/qemu-server/lock-${vmid}.conf' - got timeout`;
  return cluster.storages.locks.hold(vmLockName(vmid), text, work);
}

/** What the lock is called among all locks. */
export function vmLockName(vmid: number): string {
  return `vm:${vmid}`;
}
