/**
 * Ends a contract's instance by the coordinator's signed tombstone: find → destroy → prove it gone → report
 * `destroyed`. A tombstone never lapses, so that each step is tried until it works, with or without a lease.
 *
 * What proves absence (I5): a create that was begun and whose answer never came, because the agent crashed or gave
 * up, can be carried out by the backend at any later time, and no wait is long enough to rule that out. So the proof
 * is about one moment, and the last thing before the report: every known handle is asked for, and a list is taken
 * anew. What turned up since `find` is not reported away, and not destroyed past the breaker either: this saga then
 * ends without a report, the order stays unanswered, and the next saga finds it. What comes even later is seen by
 * the next look at the backend, and the same tombstone stands for it (plan-steps.ts).
 */
import { AppError } from '@dc/shared/errors';
import { backendOf, type Handle } from '../provisioners/provisioner.ts';
import { defineSaga, type SagaDefinition, UNTIL_IT_WORKS } from './saga.ts';
import type { ReleaseInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';

/** What is left after the destruction. */
interface Absence {
  /** One sentence for each handle, and one for the contract. */
  readonly evidence: readonly string[];
  /** Ids of instances of the contract that have turned up since they were looked for. */
  readonly late: readonly string[];
}

/** The saga over these parts. */
export function releaseInstance(parts: SagaParts): SagaDefinition {
  const { provisioner, sealFor } = parts;
  return defineSaga<ReleaseInput>({ name: 'release-instance', version: 1, needsLease: false })
    .run('find', {
      policy: UNTIL_IT_WORKS,
      run: async ({ contractId, input, signal }) => {
        const sealed = await listSealed(parts, { contractId, known: input.known }, signal);
        const { known } = input;
        return known === null || sealed.some(({ id }) => id === known.id) ? sealed : [known, ...sealed];
      },
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
      run: async ({ contractId, input, outputs, signal }): Promise<Absence> => {
        const evidence: string[] = [];
        for (const handle of outputs.find) evidence.push(await proveAbsence(parts, handle, signal));
        const left = await listSealed(parts, { contractId, known: input.known }, signal);
        if (left.length === 0)
          evidence.push('a list of the backend shows nothing with the seal of the contract');
        return { evidence, late: left.map(({ id }) => id) };
      },
    })
    .report(({ input, outputs }) => {
      const { evidence, late } = outputs.prove_absence;
      if (late.length > 0) return null;
      return {
        kind: 'destroyed',
        data: {
          reason: input.tombstone.reason,
          never_existed: outputs.find.length === 0 && !input.wasBegun,
          handle_ids: outputs.find.map(({ id }) => id),
          ...backendOf(provisioner),
          evidence,
        },
        instance: { phase: 'destroyed', handle: input.known ?? outputs.find[0] ?? null, ssh: null },
      };
    });
}

/**
 * Everything at the backend that carries the contract's seal. Without an instance in the journal only a complete
 * list may say that there is nothing.
 */
async function listSealed(
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
  return list.instances.filter((instance) => instance.seal === seal).map(({ handle }) => handle);
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
