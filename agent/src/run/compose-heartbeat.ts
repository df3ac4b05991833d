/** What a heartbeat says. Nothing is claimed that nobody looked at (I16). */
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashIncluded, signCapacity } from '@dc/shared/evidence/capacity';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import { readState, toAvailability } from '../availability/availability.ts';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { JournalReader, UnaccountedInstance } from '../journal/journal.ts';
import { backendOf, type FreeCapacity, type Provisioner } from '../provisioners/provisioner.ts';
import { contractsInQuestion } from '../orphans/find-unaccounted.ts';
import type { ContractRunner } from '../reconcile/contract-runner.ts';
import type { BackendObserver } from './observe-backend.ts';

/** What the wire takes. */
const CONTRACTS_MAX = 10_000;
/** Enough to know which; the number says how many there are. */
const ORPHANS_MAX = 50;
/** The page shows no more, and the beat stays small. */
const BLOCKED_MAX = 20;
/** What the wire takes. */
const IN_QUESTION_MAX = 1_000;
/** Three looks at the backend: one may fail, and one more be late. */
const CAPACITY_LIFE_MS = 180_000;

export interface HeartbeatWords {
  readonly journal: JournalReader;
  readonly provisioner: Pick<Provisioner, 'kind' | 'capabilities' | 'backendId'>;
  readonly observer: Pick<BackendObserver, 'of' | 'fingerprint' | 'lookedAt' | 'presentContracts'>;
  readonly runner: Pick<ContractRunner, 'explainBlocked'>;
  readonly coordinator: Pick<Coordinator, 'serverNow'>;
  readonly clock: Clock;
  readonly version: string;
  readonly agentKey: SigningKey;
  readonly environment: string;
}

/** What was stated of one look: the same until the next one, so that the coordinator need not read it again. */
export interface StatedLook {
  readonly lookedAt: number;
  readonly said: Pick<WireHeartbeat, 'capacity_statement' | 'capacity_includes'>;
}

/** The body of the next heartbeat. `last` is what the one before stated; null for the first. */
export function composeHeartbeat(
  words: HeartbeatWords,
  last: StatedLook | null = null,
): { beat: WireHeartbeat; stated: StatedLook } {
  const { lookedAt } = words.observer;
  const free = words.observer.fingerprint?.freeCapacity ?? null;
  const stated = last?.lookedAt === lookedAt ? last : { lookedAt, said: describeCapacity(words, free) };
  return { beat: composeBeat(words, stated), stated };
}

function composeBeat(words: HeartbeatWords, stated: StatedLook): WireHeartbeat {
  const { journal, provisioner, observer, runner, clock, version } = words;
  const { fingerprint } = observer;
  const running = journal.instances(['running']).filter(({ contractId, changedAt }) => {
    const { existence, at } = observer.of(contractId);
    return existence.existence !== 'absent' || at <= changedAt; // That look was before it was made.
  });
  const { draining, maintenance_until: until } = toAvailability(readState(journal, clock.now()));
  return {
    version,
    journal_id: journal.journalId,
    capabilities: {
      provisioner: provisioner.kind,
      ...backendOf(provisioner),
      ...provisioner.capabilities,
      ...describeTrouble(journal),
    },
    ...(fingerprint === null ? {} : { healthy: fingerprint.healthy }),
    ...stated.said,
    ...(draining ? { draining } : {}),
    ...(until === null ? {} : { maintenance_until: until }),
    running_contracts: running.slice(0, CONTRACTS_MAX).map(({ contractId }) => contractId),
    blocked: runner.explainBlocked(BLOCKED_MAX),
    in_question: contractsInQuestion(journal.unaccounted()).slice(0, IN_QUESTION_MAX),
  };
}

/** The signed statement with the list that it is bound to; nothing where the backend does not say. */
function describeCapacity(
  { observer, coordinator, clock, agentKey, environment }: HeartbeatWords,
  free: FreeCapacity | null,
): Pick<WireHeartbeat, 'capacity_statement' | 'capacity_includes'> {
  const includes = observer.presentContracts;
  // With more than the wire takes, what is left out would be counted twice: then the places alone limit sales.
  if (free === null || includes.length > CONTRACTS_MAX) return {};
  const ageMs = Math.max(0, clock.monotonic() - observer.lookedAt);
  const seenAt = coordinator.serverNow() - ageMs;
  const statement = {
    environment,
    backend: observer.fingerprint?.backendId ?? null,
    seen_at: toTime(seenAt),
    expires_at: toTime(seenAt + CAPACITY_LIFE_MS),
    cpu: atLeastNone(free.cpu),
    memory_mb: atLeastNone(free.memoryMb),
    instances: atLeastNone(free.instances),
    storages: (free.storages ?? [{ name: 'default', freeGb: free.diskGb }]).map(({ name, freeGb }) => ({
      name,
      free_gb: atLeastNone(freeGb),
    })),
    addresses: free.addresses == null ? null : atLeastNone(free.addresses),
    port_blocks: free.portBlocks == null ? null : atLeastNone(free.portBlocks),
    includes: hashIncluded(includes),
  };
  return { capacity_statement: signCapacity(statement, agentKey), capacity_includes: [...includes] };
}

/** A backend that holds more than it was made for has no room; a statement with less than none would be refused. */
const atLeastNone = (room: number): number => Math.max(0, room);

/** What the operator of this machine has to decide; nothing where there is nothing. */
function describeTrouble(journal: JournalReader): Record<string, unknown> {
  const paused = journal.pausedReleases();
  const orphans = journal.unaccounted().filter(({ kind, goneAt }) => kind === 'orphan' && goneAt === null);
  const since = paused[0]?.askedAt ?? 0;
  return {
    ...(paused.length === 0 ? {} : { destruction_paused: { waiting: paused.length, since: toTime(since) } }),
    ...(orphans.length === 0
      ? {}
      : { orphans_total: orphans.length, orphans: orphans.slice(0, ORPHANS_MAX).map(describeOrphan) }),
  };
}

const describeOrphan = ({ id, contractId, firstSeenAt, timesSeen }: UnaccountedInstance): object => ({
  id,
  contract_id: contractId,
  first_seen_at: toTime(firstSeenAt),
  times_seen: timesSeen,
});

const toTime = (ms: number): string => new Date(Math.round(ms)).toISOString();
