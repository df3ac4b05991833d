/**
 * PURE: what the backend holds that the journal cannot account for. It is shown to the operator and never
 * destroyed: an agent with a lost journal, or in another environment, would otherwise destroy what is rented (I7).
 */
import type { Instance } from '../provisioners/provisioner.ts';

/** What was found. */
export interface Unaccounted {
  /** They carry our seal, and the journal has no order for their contract. */
  readonly orphans: readonly Instance[];
  /** They do not carry our seal: somebody else's. */
  readonly foreign: readonly Instance[];
}

/** Sorts out what a list of the backend holds beyond the journal. `isKnown`: the journal has an order for the contract. */
export function findOrphans(
  listed: readonly Instance[],
  isKnown: (contractId: string) => boolean,
): Unaccounted {
  const foreign = listed.filter((instance) => instance.seal === null);
  const orphans = listed.filter(
    ({ seal, contractId }) => seal !== null && (contractId === null || !isKnown(contractId)),
  );
  return { orphans, foreign };
}
