/**
 * Chooses how QEMU runs guests. That /dev/kvm is there proves nothing: some machines have one under which a kernel
 * hangs, and QEMU does not fall back. So a probe boots, and only one that says so in time counts.
 */
import { access, constants } from 'node:fs/promises';
import { runCommand } from '../../lib/run-command.ts';
import type { Clock } from '@dc/shared/clock';
import type { GuestImage } from './guest-image.ts';

const PROBE_MS_MAX = 6_000; // Under a KVM that works it takes less than a second.
const SAID_BYTES_MAX = 256 * 1024;
const PATH = '/usr/local/bin:/usr/bin:/bin';

/** The arguments that select it, and what it is called. */
export interface Accelerator {
  readonly name: 'kvm' | 'tcg';
  readonly args: readonly string[];
}

const KVM: Accelerator = { name: 'kvm', args: ['-accel', 'kvm', '-cpu', 'host'] };
/** Software emulation: everywhere, and about ten times slower. */
export const TCG: Accelerator = {
  name: 'tcg',
  args: ['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'qemu64'],
};

/** KVM where a probe boots under it, else software emulation. */
export async function chooseAccelerator(
  image: GuestImage,
  clock: Clock,
  signal: AbortSignal,
): Promise<Accelerator> {
  const isOurs = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  return isOurs && (await boots(KVM, image, clock, signal)) ? KVM : TCG;
}

/** Whether a kernel gets as far as its first program. */
async function boots(
  accelerator: Accelerator,
  image: GuestImage,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const args = [
    ...accelerator.args,
    ...['-m', '256', '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot'],
    ...['-kernel', image.kernel, '-initrd', image.initramfs, '-append', 'console=ttyS0 dc.probe panic=-1'],
  ];
  try {
    const command = { file: 'qemu-system-x86_64', args, env: { PATH } };
    const { stdout } = await runCommand(
      command,
      { timeoutMs: PROBE_MS_MAX, outputBytesMax: SAID_BYTES_MAX },
      clock,
      signal,
    );
    return stdout.includes('DC-PROBE-OK');
  } catch (error) {
    if (signal.aborted) throw error;
    return false; // It hung, or QEMU would not start with it: that is the answer.
  }
}
