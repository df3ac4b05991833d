/** What waits: settings for the next start, and cloud-init settings for the next writing of their drive. */
import { isCloudInitKey } from '../cluster/config-keys.ts';
import type { Vm } from '../cluster/vm.ts';
import { shownValue } from './config-calls.ts';

/** As `/nodes/{node}/qemu/{vmid}/pending` tells it. */
export function pendingState(vm: Vm): unknown[] {
  const keys = new Set([...vm.config.keys(), ...vm.pending.keys()]);
  return [...keys].sort().map((key) => {
    const value = vm.config.get(key);
    const pending = vm.pending.get(key);
    return {
      key,
      ...(value === undefined ? {} : { value: shownValue(key, value) }),
      ...(typeof pending === 'string' ? { pending: shownValue(key, pending) } : {}),
      ...(pending === null ? { delete: 1 } : {}),
    };
  });
}

/** As `/nodes/{node}/qemu/{vmid}/cloudinit` tells it; version 7 calls the two `old` and `new`. */
export function cloudInitState(vm: Vm, major: number): unknown[] {
  const present = new Map([...vm.config].filter(([key]) => isCloudInitKey(key)));
  const keys = new Set([...present.keys(), ...vm.seededWith.keys()]);
  const [was, willBe] = major < 8 ? ['old', 'new'] : ['value', 'pending'];
  return [...keys].sort().map((key) => {
    const old = vm.seededWith.get(key);
    const now = present.get(key);
    return {
      key,
      ...(old === undefined ? {} : { [was]: String(shownValue(key, old)) }),
      ...(now !== undefined && now !== old ? { [willBe]: String(shownValue(key, now)) } : {}),
      ...(now === undefined && major >= 8 ? { delete: 1 } : {}),
    };
  });
}
