/**
 * PURE: what the backend holds that the journal cannot account for, and since when. Nothing is ever destroyed because
 * of this alone: an agent with a lost journal, or in another environment, would destroy what is rented (I7).
 */
import type { UnaccountedInstance } from '../journal/journal.ts';
import type { Instance } from '../provisioners/provisioner.ts';

/** How long an orphan is only watched: it may be another agent's, or its order may be on its way. */
export const GRACE_MS = 3_600_000;

/** Why an instance of ours is not this agent's. */
const ELSEWHERE = 'another agent of this provider answers for it';

/** The contracts that carry our seal and that the coordinator is asked about: whether another agent answers for them. */
export function contractsInQuestion(unaccounted: readonly UnaccountedInstance[]): string[] {
  const open = unaccounted.filter(
    ({ kind, why, goneAt }) => goneAt === null && (kind === 'orphan' || why === ELSEWHERE),
  );
  return [...new Set(open.flatMap(({ contractId }) => contractId ?? []))];
}

/** What decides whose an instance is. */
export interface Ownership {
  /** The seal that this agent gives to the contract's instance, in its own environment. */
  readonly sealFor: (contractId: string) => string;
  /** Whether the journal has an order for the contract. */
  readonly isKnown: (contractId: string) => boolean;
  /** Whether the coordinator said that another agent of this provider answers for the contract. */
  readonly isElsewhere: (contractId: string) => boolean;
}

/** One instance beyond the journal. */
export type Found = Pick<UnaccountedInstance, 'id' | 'handle' | 'kind' | 'contractId' | 'why'>;

/** Whether it carries our seal for the contract that it claims to be for, made in our environment. */
export function isOurs({ seal, contractId }: Instance, { sealFor }: Pick<Ownership, 'sealFor'>): boolean {
  return seal !== null && contractId !== null && seal === sealFor(contractId);
}

/** Sorts out what a list of the backend holds beyond the journal. */
export function findUnaccounted(listed: readonly Instance[], owner: Ownership): Found[] {
  return listed.flatMap((instance): Found[] => {
    const { handle, contractId } = instance;
    const found = { id: handle.id, handle, contractId };
    if (!isOurs(instance, owner)) return [{ ...found, kind: 'foreign', why: whyForeign(instance) }];
    if (contractId !== null && owner.isKnown(contractId)) return [];
    if (contractId !== null && owner.isElsewhere(contractId))
      return [{ ...found, kind: 'foreign', why: ELSEWHERE }];
    return [{ ...found, kind: 'orphan', why: null }];
  });
}

function whyForeign({ seal }: Instance): string {
  if (seal === null) return 'it does not carry this provider’s seal';
  return `it was made in the environment ${seal.split('.')[2] ?? 'of nobody'}`;
}

/** What changes in the journal after a look. */
export interface Noted {
  readonly saved: readonly UnaccountedInstance[];
  /** Ids of those that are gone, or accounted for, and that nobody had destroyed. */
  readonly removed: readonly string[];
}

/** Counts this look in. What is not in a list that may leave things out keeps its place (I5). */
export function noteLook(
  before: readonly UnaccountedInstance[],
  found: readonly Found[],
  look: { readonly now: number; readonly listed: readonly Instance[]; readonly complete: boolean },
): Noted {
  const known = new Map(before.map((one) => [one.id, one]));
  const seen = found.map((one): UnaccountedInstance => {
    const past = known.get(one.id);
    const isSame = past !== undefined && past.kind === one.kind && past.goneAt === null;
    const begun = { firstSeenAt: look.now, timesSeen: 0, destroyAskedAt: null };
    const { firstSeenAt, timesSeen, destroyAskedAt } = isSame ? past : begun;
    const counted = { lastSeenAt: look.now, timesSeen: timesSeen + 1, goneAt: null };
    return { ...one, firstSeenAt, destroyAskedAt, ...counted };
  });
  const foundIds = new Set(found.map(({ id }) => id));
  const listedIds = new Set(look.listed.map(({ handle }) => handle.id));
  const left = before.filter(({ id, goneAt }) => {
    const isAccountedFor = listedIds.has(id);
    return !foundIds.has(id) && goneAt === null && (look.complete || isAccountedFor);
  });
  const destroyed = left.filter(({ destroyAskedAt }) => destroyAskedAt !== null);
  return {
    saved: [...seen, ...destroyed.map((one) => ({ ...one, goneAt: look.now }))],
    removed: left.filter(({ destroyAskedAt }) => destroyAskedAt === null).map(({ id }) => id),
  };
}

/** Whether the operator may have it destroyed: seen at least twice, the grace time apart. */
export function isRipe({ kind, timesSeen, firstSeenAt, lastSeenAt }: UnaccountedInstance): boolean {
  return kind === 'orphan' && timesSeen >= 2 && lastSeenAt - firstSeenAt >= GRACE_MS;
}
