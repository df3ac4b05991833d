/**
 * Removes an instance that turned up after its saga had been undone: a create that the backend carried out late.
 * It was made by that saga and never reported, so that no tombstone is needed (I7) and nothing is reported.
 */
import { destroyUnreported } from './destroy-unreported.ts';
import { defineSaga, type SagaDefinition, UNTIL_IT_WORKS } from './saga.ts';
import type { LeftoverInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';

/** The saga over these parts. */
export function removeLeftover(parts: SagaParts): SagaDefinition {
  return defineSaga<LeftoverInput>({ name: 'remove-leftover', version: 1, needsLease: false })
    .run('destroy', {
      policy: UNTIL_IT_WORKS,
      run: ({ contractId, input, signal }) =>
        destroyUnreported(parts, { contractId, token: input.token, made: null }, signal),
    })
    .report(() => null);
}
