/** Waits until an instance's SSH server answers with the host key that the driver reported. */
import { AppError } from '@dc/shared/errors';
import { sleep } from '@dc/shared/clock';
import type { Handle, SshAccess } from '../provisioners/provisioner.ts';
import type { StepContext } from './saga.ts';
import type { SagaParts } from './saga-parts.ts';

// A local server answers at the first try; a booting machine is asked often enough to lose no second.
const FIRST_PAUSE_MS = 20;
const PAUSE_MS_MAX = 1_000;

/**
 * Where the renter logs in, once it works. `known` is what the driver said when it made the instance; where that
 * is null the driver is asked again. Throws INSTANCE_UNREACHABLE after `sshTimeoutMs`, with what was in the way.
 */
export async function waitForSsh(
  { provisioner, probeSsh, sshTimeoutMs }: SagaParts,
  { handle, ssh: known }: { readonly handle: Handle; readonly ssh: SshAccess | null },
  {
    clock,
    signal,
    assertLeaseHeld,
  }: Pick<StepContext<unknown, unknown>, 'clock' | 'signal' | 'assertLeaseHeld'>,
): Promise<SshAccess> {
  const deadline = clock.monotonic() + sshTimeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    assertLeaseHeld();
    const ssh = known ?? (await findAccess(handle));
    const obstacle = typeof ssh === 'string' ? ssh : await findObstacle(ssh);
    if (typeof ssh !== 'string' && obstacle === null) return ssh;
    if (clock.monotonic() + pauseMs > deadline) {
      throw new AppError(
        'INSTANCE_UNREACHABLE',
        `The instance did not answer on its SSH port: ${obstacle ?? 'no reason'}.`,
      );
    }
    await sleep(clock, pauseMs, signal);
  }

  async function findAccess(of: Handle): Promise<SshAccess | string> {
    const found = await provisioner.inspect(of, signal);
    switch (found.existence) {
      case 'present':
        return found.instance.ssh ?? 'it has no address yet';
      case 'absent':
        throw new AppError(
          'PROVISIONER_FAILED',
          'The instance vanished from the backend while it was starting.',
        );
      case 'unknown':
        return 'the backend cannot tell its address';
    }
  }

  async function findObstacle({ host, port, hostKeyFingerprint }: SshAccess): Promise<string | null> {
    const probe = await probeSsh({ host, port }, signal);
    if (!probe.answered) return probe.why;
    // Another server at this address: its renter must not be led there.
    return probe.hostKeyFingerprint === hostKeyFingerprint
      ? null
      : 'a server with another host key answers there';
  }
}
