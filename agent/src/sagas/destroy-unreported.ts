/**
 * Destroys what one saga made and never reported: the only destruction without a tombstone (I7). Whether it was
 * this saga is told by the token; an instance that carries our seal but another token is left alone.
 */
import { AppError } from '@dc/shared/errors';
import type { Handle, Instance } from '../provisioners/provisioner.ts';
import type { SagaParts } from './saga-parts.ts';

/** Which saga's instance. */
export interface Unreported {
  readonly contractId: string;
  /** The token that this saga, and nobody else, created with. */
  readonly token: string;
  /** What `create` answered; null where its end is not known, and the backend is asked. */
  readonly made: Pick<Instance, 'handle' | 'token'> | null;
}

/**
 * Resolves when nothing of this saga is left at the backend. Idempotent. Throws PROVISIONER_UNAVAILABLE where the
 * backend cannot say for sure (I5).
 */
export async function destroyUnreported(
  { provisioner, sealFor }: Pick<SagaParts, 'provisioner' | 'sealFor'>,
  { contractId, token, made }: Unreported,
  signal: AbortSignal,
): Promise<void> {
  const seal = sealFor(contractId);
  for (const handle of await find()) await provisioner.destroy(handle, seal, signal);

  async function find(): Promise<Handle[]> {
    if (made !== null) return made.token === token ? [made.handle] : [];
    const list = await provisioner.list(signal);
    if (!list.complete) {
      throw new AppError(
        'PROVISIONER_UNAVAILABLE',
        'The backend cannot say for sure whether the instance was made.',
      );
    }
    return list.instances
      .filter((instance) => instance.seal === seal && instance.token === token)
      .map(({ handle }) => handle);
  }
}
