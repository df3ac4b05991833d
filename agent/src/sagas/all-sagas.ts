/** Every saga that this program knows. */
import { provisionInstance } from './provision-instance.ts';
import { releaseInstance } from './release-instance.ts';
import { removeLeftover } from './remove-leftover.ts';
import { resetPassword } from './reset-password.ts';
import { rotateSshKey } from './rotate-ssh-key.ts';
import type { SagaName } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';
import type { SagaDefinition } from './saga.ts';
import { startInstance, stopInstance } from './switch-power.ts';

const MAKERS: Readonly<Record<SagaName, (parts: SagaParts) => SagaDefinition>> = {
  'provision-instance': provisionInstance,
  'release-instance': releaseInstance,
  'stop-instance': stopInstance,
  'start-instance': startInstance,
  'remove-leftover': removeLeftover,
  'reset-password': resetPassword,
  'rotate-ssh-key': rotateSshKey,
};

/** Their definitions over these parts. */
export function allSagas(parts: SagaParts): SagaDefinition[] {
  return Object.values(MAKERS).map((make) => make(parts));
}
