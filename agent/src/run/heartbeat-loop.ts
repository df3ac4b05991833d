/** Says regularly that this agent lives and what it runs; learns what the coordinator knows of it. */
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import type { JournalReader, UnaccountedInstance } from '../journal/journal.ts';
import { jittered } from '../lib/backoff.ts';
import type { Turn } from '../lib/loop.ts';
import type { Provisioner } from '../provisioners/provisioner.ts';
import type { BackendObserver } from './observe-backend.ts';
import type { Contact } from './contact.ts';

/** Whatever the coordinator says: more often is noise, more seldom makes us look dead. */
const INTERVAL_MS_MIN = 1_000;
const INTERVAL_MS_MAX = 300_000;
/** What the wire takes. */
const CONTRACTS_MAX = 10_000;
/** Enough to know which; the number says how many there are. */
const ORPHANS_MAX = 50;

export interface HeartbeatParts {
  readonly journal: JournalReader;
  readonly coordinator: Coordinator;
  readonly provisioner: Provisioner;
  readonly observer: Pick<BackendObserver, 'of' | 'fingerprint'>;
  readonly contact: Contact;
  readonly random: Random;
  readonly version: string;
  readonly agentKey: string;
  /** Called when the coordinator has work that nobody nudged us about. */
  readonly onWork: () => void;
}

/** One heartbeat. */
export function heartbeatTurn(parts: HeartbeatParts): Turn {
  return async (signal) => {
    const answer = await parts.coordinator.heartbeat(composeHeartbeat(parts), signal);
    parts.contact.seen();
    assertOwnChain(parts, answer.records_held);
    const intervalMs = Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, answer.next_interval_ms));
    parts.contact.expectEvery(intervalMs);
    if (answer.open_work > 0) parts.onWork();
    return heartbeatPauseMs(intervalMs, parts.random);
  };
}

/** How long to wait for the next one after the last one's answer: never later than promised, and not all at once. */
export const heartbeatPauseMs = (intervalMs: number, random: Random): number =>
  jittered(intervalMs * 0.9, random, 0.1);

/**
 * The coordinator cannot hold more of our records than we have signed: then somebody else signs with our key, or
 * our journal was lost. Either way we know less than we did, and must not act on it.
 */
function assertOwnChain({ journal, agentKey }: HeartbeatParts, held: number): void {
  const signed = journal.lastSeq(agentKey);
  if (held <= signed) return;
  throw new AppError(
    'RECORD_FORK',
    `The coordinator holds ${held} records of this agent's key, this journal only ${signed}.`,
    {
      remedy:
        'Stop the other agent that uses this key, or restore the journal; with neither, set this machine up again ' +
        'with a new key.',
    },
  );
}

/** What is said. Nothing is claimed that nobody looked at (I16). */
export function composeHeartbeat({
  journal,
  provisioner,
  observer,
  version,
}: Pick<HeartbeatParts, 'journal' | 'provisioner' | 'observer' | 'version'>): WireHeartbeat {
  const { fingerprint } = observer;
  const free = fingerprint?.freeCapacity ?? null;
  const running = journal.instances(['running']).filter(({ contractId, changedAt }) => {
    const { existence, at } = observer.of(contractId);
    return existence.existence !== 'absent' || at <= changedAt; // That look was before it was made.
  });
  return {
    version,
    journal_id: journal.journalId,
    capabilities: { provisioner: provisioner.kind, ...provisioner.capabilities, ...describeTrouble(journal) },
    ...(fingerprint === null ? {} : { healthy: fingerprint.healthy }),
    ...(free === null
      ? {}
      : {
          capacity: {
            cpu: free.cpu,
            memory_mb: free.memoryMb,
            disk_gb: free.diskGb,
            instances: free.instances,
          },
        }),
    running_contracts: running.slice(0, CONTRACTS_MAX).map(({ contractId }) => contractId),
  };
}

/** What the operator of this machine has to decide; nothing where there is nothing. */
function describeTrouble(journal: JournalReader): Record<string, unknown> {
  const paused = journal.pausedReleases();
  const orphans = journal.unaccounted().filter(({ kind, goneAt }) => kind === 'orphan' && goneAt === null);
  const since = paused[0]?.askedAt ?? 0;
  return {
    ...(paused.length === 0
      ? {}
      : { destruction_paused: { waiting: paused.length, since: new Date(since).toISOString() } }),
    ...(orphans.length === 0
      ? {}
      : { orphans_total: orphans.length, orphans: orphans.slice(0, ORPHANS_MAX).map(describeOrphan) }),
  };
}

const describeOrphan = ({ id, contractId, firstSeenAt, timesSeen }: UnaccountedInstance): object => ({
  id,
  contract_id: contractId,
  first_seen_at: new Date(firstSeenAt).toISOString(),
  times_seen: timesSeen,
});
