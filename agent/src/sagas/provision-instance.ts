/** Makes the instance of a paid contract: choose names → create → wait for SSH → report `provisioned`. */
import { toHex } from '@dc/shared/ids';
import { backendOf, type Instance } from '../provisioners/provisioner.ts';
import type { MadeStage } from '../provisioners/made-stages.ts';
import { destroyUnreported } from './destroy-unreported.ts';
import type { ReturnCode } from '../journal/journal.ts';
import { defineSaga, type SagaDefinition, type StageTiming } from './saga.ts';
import type { ProvisionInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';
import { waitForSsh } from './wait-for-ssh.ts';

/** Added to the step's own limit, so that the step itself says what was in the way. */
const SSH_MARGIN_MS = 15_000;

/** A backend that says this has made nothing: another agent of the pool may be able to serve the order. */
const REFUSALS = {
  PROVISIONER_EXHAUSTED: 'capacity',
  PROVISIONER_SPEC_UNSUPPORTED: 'unsupported',
} as const satisfies Partial<Record<string, ReturnCode>>;

/** The saga over these parts. */
export function provisionInstance(parts: SagaParts): SagaDefinition {
  const { provisioner, sealFor, sshTimeoutMs } = parts;
  return defineSaga<ProvisionInput>({ name: 'provision-instance', version: 1, needsLease: true })
    .choose('names', ({ contractId, random }) => ({
      token: toHex(random.bytes(16)),
      // The end of a UUIDv7 is random; its start is the time.
      hostname: `dc-${contractId
        .toLowerCase()
        .replaceAll(/[^a-z0-9]/g, '')
        .slice(-12)}`,
    }))
    .run('create', {
      run: async ({ contractId, input, outputs, signal }) => {
        const { token, hostname } = outputs.names;
        const { spec } = input;
        const stages: MadeStage[] = [];
        const instance = await provisioner.create(
          {
            contractId,
            seal: sealFor(contractId),
            token,
            spec: {
              cpu: spec.cpu,
              memoryMb: spec.memory_mb,
              diskGb: spec.disk_gb,
              operatingSystem: spec.operating_system,
              sshPublicKey: spec.ssh_public_key,
              hostname,
            },
          },
          signal,
          (stage) => stages.push(stage),
        );
        return { ...madeInstance(instance), stages };
      },
      undo: ({ contractId, outputs, signal }) =>
        destroyUnreported(
          parts,
          { contractId, token: outputs.names.token, made: outputs.create ?? null },
          signal,
        ),
    })
    .run('wait_for_ssh', {
      policy: { totalMs: sshTimeoutMs, timeoutMs: sshTimeoutMs + SSH_MARGIN_MS },
      run: (context) => waitForSsh(parts, context.outputs.create, context),
    })
    .report(({ outputs, stages }) => {
      // A saga that an older version began has told none.
      const { handle } = outputs.create;
      const told: { stages?: readonly MadeStage[] } = outputs.create;
      const inside = told.stages ?? [];
      const ssh = outputs.wait_for_ssh;
      const { host, port, user } = ssh;
      return {
        kind: 'provisioned',
        data: {
          handle_id: handle.id,
          ...backendOf(provisioner),
          access: { host, port, user, host_key_fingerprint: ssh.hostKeyFingerprint, host_key: ssh.hostKey },
          stages: [...stages, ...inside].map(describeStage),
        },
        instance: { phase: 'running', handle, ssh },
      };
    }, REFUSALS);
}

/** What is recorded of a made instance. `token` says whether it was this saga that made it. */
const madeInstance = ({ handle, ssh, token }: Instance): Pick<Instance, 'handle' | 'ssh' | 'token'> => ({
  handle,
  ssh,
  token,
});

const describeStage = ({ name, startedAt, endedAt }: StageTiming): Record<string, unknown> => ({
  name,
  started_at: new Date(startedAt).toISOString(),
  // The wall clock may have been set back in between.
  duration_ms: Math.max(0, endedAt - startedAt),
});
