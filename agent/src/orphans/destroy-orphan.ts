/**
 * Destroys an orphan because the operator of this machine says so: the only destruction besides tombstones and undoes.
 * Everything that could make it wrong is looked at again at that moment.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Journal, UnaccountedInstance } from '../journal/journal.ts';
import type { Handle, Provisioner } from '../provisioners/provisioner.ts';
import { GRACE_MS, isOurs, isRipe } from './find-unaccounted.ts';

export interface OrphanParts {
  readonly journal: Journal;
  readonly provisioner: Provisioner;
  readonly clock: Clock;
  readonly sealFor: (contractId: string) => string;
}

/**
 * Resolves when the orphan is proved gone; the journal then says who went when. Can be repeated after a failure.
 * Throws ORPHAN_NOT_FOUND, ORPHAN_TOO_YOUNG, ORPHAN_HAS_ORDER, PROVISIONER_FOREIGN, or PROVISIONER_UNAVAILABLE where
 * the backend cannot list everything; nothing was touched then.
 */
export async function destroyOrphan(parts: OrphanParts, id: string, signal: AbortSignal): Promise<void> {
  const { journal, provisioner, clock, sealFor } = parts;
  const orphan = findRipe(journal, id);
  const { contractId, handle } = await findAtBackend(parts, orphan, signal);
  if (journal.contract(contractId) !== null) {
    throw new AppError('ORPHAN_HAS_ORDER', `There is an order for contract ${contractId} by now.`);
  }
  const destroyAskedAt = Math.round(clock.now());
  journal.write('orphan.destroying', (writer) => writer.saveUnaccounted({ ...orphan, destroyAskedAt }));
  await provisioner.destroy(handle, sealFor(contractId), signal);
  const goneAt = Math.round(clock.now());
  journal.write('orphan.destroyed', (writer) =>
    writer.saveUnaccounted({ ...orphan, destroyAskedAt, goneAt }),
  );
}

/** The orphan, old enough. Also asked before a person is: what cannot be done need not be confirmed. */
export function findRipe(journal: Pick<Journal, 'unaccounted'>, id: string): UnaccountedInstance {
  const orphan = journal.unaccounted().find((one) => one.id === id && one.goneAt === null);
  if (orphan === undefined) throw notFound(id);
  if (orphan.kind === 'foreign') {
    throw new AppError(
      'PROVISIONER_FOREIGN',
      `${id} is not ours to touch: ${orphan.why ?? 'it is foreign'}.`,
    );
  }
  if (!isRipe(orphan)) {
    const due = new Date(orphan.firstSeenAt + GRACE_MS).toISOString();
    throw new AppError('ORPHAN_TOO_YOUNG', `${id} may be destroyed when it is still there at ${due}.`);
  }
  return orphan;
}

/** Looks at the thing itself: what the journal remembers of it may have changed. */
async function findAtBackend(
  { provisioner, sealFor }: OrphanParts,
  { id }: UnaccountedInstance,
  signal: AbortSignal,
): Promise<{ contractId: string; handle: Handle }> {
  const list = await provisioner.list(signal);
  if (!list.complete) {
    throw new AppError(
      'PROVISIONER_UNAVAILABLE',
      'The backend cannot list everything now; nothing was touched.',
    );
  }
  const instance = list.instances.find(({ handle }) => handle.id === id);
  if (instance === undefined) throw notFound(id);
  const { contractId, handle } = instance;
  if (contractId === null || !isOurs(instance, { sealFor })) throw new AppError('PROVISIONER_FOREIGN');
  return { contractId, handle };
}

const notFound = (id: string): AppError => new AppError('ORPHAN_NOT_FOUND', `There is no orphan ${id}.`);
