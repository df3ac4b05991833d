/** Stops or starts a contract's instance, and reports it. Whoever is logged in is cut off by a stop. */
import { AppError } from '@dc/shared/errors';
import { defineSaga, type SagaDefinition, UNTIL_IT_WORKS } from './saga.ts';
import type { SwitchInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';
import { waitForSsh } from './wait-for-ssh.ts';

/** The saga that stops. An instance that is proved gone counts as stopped, and the record says so. */
export function stopInstance({ provisioner, sealFor }: SagaParts): SagaDefinition {
  return defineSaga<SwitchInput>({ name: 'stop-instance', version: 1, needsLease: true })
    .run('stop', {
      policy: UNTIL_IT_WORKS,
      run: async ({ contractId, input, signal }) => {
        const { existence } = await provisioner.stop(input.handle, sealFor(contractId), signal);
        return existence;
      },
    })
    .report(({ input: { handle, ssh }, outputs }) => ({
      kind: 'stopped',
      data: { handle_id: handle.id, existence: outputs.stop },
      instance: { phase: 'stopped', handle, ssh },
    }));
}

/** The saga that starts and waits until the renter can log in again. */
export function startInstance(parts: SagaParts): SagaDefinition {
  const { provisioner, sealFor, sshTimeoutMs } = parts;
  return defineSaga<SwitchInput>({ name: 'start-instance', version: 1, needsLease: true })
    .run('start', {
      run: async ({ contractId, input, signal }) => {
        const found = await provisioner.start(input.handle, sealFor(contractId), signal);
        if (found.existence === 'present') return { handle: found.instance.handle, ssh: found.instance.ssh };
        throw new AppError('INSTANCE_GONE', 'The instance is gone from the backend and cannot be started.');
      },
    })
    .run('wait_for_ssh', {
      policy: { totalMs: sshTimeoutMs, timeoutMs: 2 * sshTimeoutMs },
      run: (context) => waitForSsh(parts, context.outputs.start, context),
    })
    .report(({ outputs }) => {
      const { handle } = outputs.start;
      const ssh = outputs.wait_for_ssh;
      const { host, port, user } = ssh;
      return {
        kind: 'started',
        data: {
          handle_id: handle.id,
          access: { host, port, user, host_key_fingerprint: ssh.hostKeyFingerprint, host_key: ssh.hostKey },
        },
        instance: { phase: 'running', handle, ssh },
      };
    });
}
