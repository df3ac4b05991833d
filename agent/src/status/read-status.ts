/** What the journal says of the agent on this machine: read beside a running agent, or without one. */
import { readKeptRotations, readPins, type PinRoots } from '../coordinator-keys/read-pins.ts';
import type { JournalReader } from '../journal/journal.ts';
import { readState } from '../availability/availability.ts';
import { isRipe } from '../orphans/find-unaccounted.ts';
import { FACTS, readJsonFact, readTimeFact, type BackendSeen, type RunningProcess } from '../run/facts.ts';

/** Written every 15 s: three missing ones, and then some, mean that nothing writes. */
const ALIVE_MS_MAX = 60_000;
/** Counting further tells nobody more. */
const OUTBOX_COUNTED_MAX = 10_000;

/** The form of `status --json`; stable. Times are RFC 3339. */
export interface StatusReport {
  readonly running: boolean;
  readonly process: RunningProcess | null;
  readonly alive_at: string | null;
  /** Why the agent last ended itself. */
  readonly stopped_because: { code: string; detail: string; remedy: string; at: string } | null;
  readonly coordinator: { readonly last_contact_at: string | null; readonly contact_lost_at: string | null };
  /** The keys that orders are taken from; `pinned_at` is null for those of the configuration. */
  readonly coordinator_keys: readonly { key: string; pinned_at: string | null; ends_at: string | null }[];
  readonly backend: BackendSeen | null;
  /** Since when it takes no new work, and until when; null where it does. */
  readonly availability: {
    readonly draining_since: string | null;
    readonly maintenance: { readonly since: string; readonly until: string } | null;
  };
  readonly instances: readonly {
    contract_id: string;
    phase: string;
    host: string | null;
    port: number | null;
    changed_at: string;
  }[];
  readonly open_work: readonly { contract_id: string; saga: string; since: string }[];
  /** Releases that wait for dc-agent confirm. */
  readonly paused_releases: readonly { contract_id: string; instances: readonly string[]; since: string }[];
  /** At the backend, and no order for it in the journal; `can_be_destroyed` by the operator only. */
  readonly orphans: readonly { id: string; first_seen_at: string; can_be_destroyed: boolean }[];
  readonly foreign_instances: number;
  readonly outbox: { readonly records: number; readonly returns: number; readonly oldest_at: string | null };
}

/** Reads it. `isAlive` asks the operating system whether a process exists. */
export function readStatus(
  journal: JournalReader,
  nowMs: number,
  isAlive: (pid: number) => boolean,
  roots: PinRoots,
): StatusReport {
  const aliveAt = readTimeFact(journal, FACTS.aliveAt);
  const process = readJsonFact(journal, FACTS.process) as RunningProcess | null;
  const isFresh = aliveAt !== null && Math.abs(nowMs - aliveAt) <= ALIVE_MS_MAX;
  const there = journal.unaccounted().filter(({ goneAt }) => goneAt === null);
  const records = journal.undeliveredRecords(OUTBOX_COUNTED_MAX);
  return {
    running: isFresh && process !== null && isAlive(process.pid),
    process,
    alive_at: time(aliveAt),
    stopped_because: readJsonFact(journal, FACTS.stoppedBecause) as StatusReport['stopped_because'],
    coordinator: {
      last_contact_at: time(readTimeFact(journal, FACTS.lastContactAt)),
      contact_lost_at: time(readTimeFact(journal, FACTS.contactLostAt)),
    },
    coordinator_keys: readCoordinatorKeys(journal, roots),
    backend: readJsonFact(journal, FACTS.backend) as BackendSeen | null,
    availability: readAvailability(journal, nowMs),
    instances: journal.instances(['running', 'stopped']).map(({ contractId, phase, ssh, changedAt }) => ({
      contract_id: contractId,
      phase,
      host: ssh?.host ?? null,
      port: ssh?.port ?? null,
      changed_at: new Date(changedAt).toISOString(),
    })),
    open_work: journal.contractIds('live').flatMap((contractId) => {
      const saga = journal.contract(contractId)?.sagas.find(({ finished }) => finished === null);
      if (saga === undefined) return [];
      return [{ contract_id: contractId, saga: saga.name, since: new Date(saga.createdAt).toISOString() }];
    }),
    paused_releases: journal.pausedReleases().map(({ contractId, instanceIds, askedAt }) => ({
      contract_id: contractId,
      instances: instanceIds,
      since: new Date(askedAt).toISOString(),
    })),
    orphans: there
      .filter(({ kind }) => kind === 'orphan')
      .map((orphan) => ({
        id: orphan.id,
        first_seen_at: new Date(orphan.firstSeenAt).toISOString(),
        can_be_destroyed: isRipe(orphan),
      })),
    foreign_instances: there.filter(({ kind }) => kind === 'foreign').length,
    outbox: {
      records: records.length,
      returns: journal.undeliveredReturns(OUTBOX_COUNTED_MAX).length,
      oldest_at: time(records[0]?.at ?? null),
    },
  };
}

function readCoordinatorKeys(journal: JournalReader, roots: PinRoots): StatusReport['coordinator_keys'] {
  const pinnedAt = new Map(readKeptRotations(journal).map((kept) => [kept.compact, kept.pinned_at]));
  return readPins(journal, roots).map(({ key, by, endsAt }) => ({
    key,
    pinned_at: by === null ? null : (pinnedAt.get(by.compact) ?? null),
    ends_at: time(endsAt),
  }));
}

function readAvailability(journal: JournalReader, nowMs: number): StatusReport['availability'] {
  const { drainingSince, maintenance } = readState(journal, nowMs);
  return {
    draining_since: time(drainingSince),
    maintenance:
      maintenance === null
        ? null
        : {
            since: new Date(maintenance.since).toISOString(),
            until: new Date(maintenance.until).toISOString(),
          },
  };
}

/** Whether a process exists, ours or another user's. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
