/**
 * Ends a contract's instance by the coordinator's signed tombstone: find → destroy → prove it gone → report
 * `destroyed`. A tombstone never lapses, so that each step is tried until it works, with or without a lease.
 */
import { AppError } from '@dc/shared/errors';
import type { Handle } from '../provisioners/provisioner.ts';
import { defineSaga, type SagaDefinition, UNTIL_IT_WORKS } from './saga.ts';
import type { ReleaseInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';

/** The saga over these parts. */
export function releaseInstance(parts: SagaParts): SagaDefinition {
  const { provisioner, sealFor } = parts;
  return defineSaga<ReleaseInput>({ name: 'release-instance', version: 1, needsLease: false })
    .run('find', {
      policy: UNTIL_IT_WORKS,
      run: async ({ contractId, input, signal }) =>
        findInstances(parts, { contractId, known: input.known }, signal),
    })
    .run('destroy', {
      policy: UNTIL_IT_WORKS,
      destroys: (outputs) => outputs.find.map(({ id }) => id),
      run: async ({ contractId, outputs, signal }) => {
        for (const handle of outputs.find) await provisioner.destroy(handle, sealFor(contractId), signal);
        return null;
      },
    })
    .run('prove_absence', {
      policy: UNTIL_IT_WORKS,
      run: async ({ outputs, signal }) => {
        const evidence: string[] = [];
        for (const handle of outputs.find) evidence.push(await proveAbsence(parts, handle, signal));
        return evidence;
      },
    })
    .report(({ input, outputs }) => ({
      kind: 'destroyed',
      data: {
        reason: input.tombstone.reason,
        never_existed: outputs.find.length === 0 && !input.wasBegun,
        handle_ids: outputs.find.map(({ id }) => id),
        evidence: outputs.prove_absence,
      },
      instance: { phase: 'destroyed', handle: input.known ?? outputs.find[0] ?? null, ssh: null },
    }));
}

/**
 * What has to go: the instance in the journal, and every other one that carries the contract's seal. Without one
 * in the journal only a complete list may say that there is nothing.
 */
async function findInstances(
  { provisioner, sealFor }: SagaParts,
  { contractId, known }: { contractId: string; known: Handle | null },
  signal: AbortSignal,
): Promise<Handle[]> {
  const list = await provisioner.list(signal);
  if (!list.complete && known === null) {
    throw new AppError(
      'PROVISIONER_UNAVAILABLE',
      'The backend cannot say for sure whether there is an instance.',
    );
  }
  const seal = sealFor(contractId);
  const sealed = list.instances.filter((instance) => instance.seal === seal).map(({ handle }) => handle);
  return known === null || sealed.some(({ id }) => id === known.id) ? sealed : [known, ...sealed];
}

async function proveAbsence(
  { provisioner }: SagaParts,
  handle: Handle,
  signal: AbortSignal,
): Promise<string> {
  const found = await provisioner.inspect(handle, signal);
  if (found.existence === 'absent') return found.evidence;
  const why = found.existence === 'present' ? 'is still there' : 'cannot be proved gone';
  throw new AppError('PROVISIONER_FAILED', `The instance ${why} after it was destroyed.`);
}
