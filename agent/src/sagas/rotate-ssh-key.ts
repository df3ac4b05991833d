/** Puts another SSH key of the renter in the place of the one that opens the instance: rotate → prove → report. */
import { AppError } from '@dc/shared/errors';
import type { SshAccess } from '../provisioners/provisioner.ts';
import { unsupported, WHILE_THE_RENTER_WAITS } from './reset-password.ts';
import { defineSaga, type SagaDefinition } from './saga.ts';
import type { RotateSshKeyInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';

/** The saga over these parts. */
export function rotateSshKey(parts: SagaParts): SagaDefinition {
  const { provisioner, sealFor } = parts;
  return defineSaga<RotateSshKeyInput>({ name: 'rotate-ssh-key', version: 1, needsLease: true })
    .run('rotate', {
      policy: WHILE_THE_RENTER_WAITS,
      run: async ({ contractId, input, signal }) => {
        if (!provisioner.capabilities.rotateSshKey) throw unsupported('change a key in its guests');
        const { handle, ssh, sshPublicKey, replaces } = input;
        const change = { user: ssh.user, sshPublicKey, replaces };
        const found = await provisioner.rotateSshKey(handle, sealFor(contractId), change, signal);
        if (found.existence === 'absent') throw new AppError('INSTANCE_GONE');
        return null;
      },
    })
    .run('prove', {
      policy: WHILE_THE_RENTER_WAITS,
      run: async ({ input: { ssh, sshPublicKey, replaces }, signal }) => {
        await assertAnswer(parts, { ssh, key: sshPublicKey, wanted: 'accepted' }, signal);
        await assertAnswer(parts, { ssh, key: replaces, wanted: 'refused' }, signal);
        return null;
      },
    })
    .report(({ input: { handle, ssh } }) => ({
      kind: 'ssh_key_rotated',
      data: { handle_id: handle.id, user: ssh.user },
    }));
}

async function assertAnswer(
  { loginProbe }: SagaParts,
  { ssh, key, wanted }: { ssh: SshAccess; key: string; wanted: 'accepted' | 'refused' },
  signal: AbortSignal,
): Promise<void> {
  if ((await loginProbe.tryPublicKey(ssh, key, signal)) === wanted) return;
  throw new AppError(
    'CREDENTIALS_UNPROVED',
    wanted === 'accepted'
      ? 'The instance refuses the new SSH key.'
      : 'The instance still takes the old SSH key.',
  );
}
