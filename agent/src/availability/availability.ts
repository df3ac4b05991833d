/**
 * Whether this agent takes new work. The operator says so with `dc-agent drain` and `dc-agent maintenance`; it is in
 * the journal, so that it outlives restarts. Work that was begun and everything about instances that are there goes on.
 */
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { Availability } from '@dc/shared/evidence/availability';
import { NO_CONTRACT, signRecord } from '@dc/shared/evidence/record';
import type { Clock } from '@dc/shared/clock';
import type { Journal, JournalReader } from '../journal/journal.ts';
import { FACTS, readTimeFact } from '../run/facts.ts';

/** What the operator wants changed; what is left out stays as it is. */
export interface AvailabilityChange {
  readonly draining?: boolean | undefined;
  /** RFC 3339; null ends the maintenance. */
  readonly maintenanceUntil?: string | null | undefined;
}

/** Since when and until when, in milliseconds since the epoch. */
export interface AvailabilityState {
  /** Null while it takes new work. */
  readonly drainingSince: number | null;
  readonly maintenance: { readonly since: number; readonly until: number } | null;
}

/** As the journal says. A maintenance ends by itself. */
export function readState(journal: JournalReader, nowMs: number): AvailabilityState {
  const since = readTimeFact(journal, FACTS.maintenanceSince);
  const until = readTimeFact(journal, FACTS.maintenanceUntil);
  return {
    drainingSince: readTimeFact(journal, FACTS.drainingSince),
    maintenance: since === null || until === null || until <= nowMs ? null : { since, until },
  };
}

export const takesNewWork = ({ drainingSince, maintenance }: AvailabilityState): boolean =>
  drainingSince === null && maintenance === null;

/** What a record and a heartbeat say of it. */
export const toAvailability = ({ drainingSince, maintenance }: AvailabilityState): Availability => ({
  draining: drainingSince !== null,
  maintenance_until: maintenance === null ? null : new Date(maintenance.until).toISOString(),
});

export interface AvailabilityParts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly agentKey: SigningKey;
  readonly environment: string;
}

/**
 * Makes the change and signs its record, in one commit. Answers 1, or 0 where it already was so: then nothing is
 * written. Throws where the journal cannot be written.
 */
export function changeAvailability(parts: AvailabilityParts, change: AvailabilityChange): number {
  const { journal, clock } = parts;
  const now = Math.round(clock.now());
  const before = readState(journal, now);
  const facts = factsOf(before, change, now);
  if (Object.keys(facts).length === 0) return 0;
  journal.write('availability.changed', (writer) => {
    for (const [name, value] of Object.entries(facts)) writer.setFact(name, value);
    signAvailability(parts, now);
  });
  return 1;
}

/** The facts that differ. An empty text stands for none. */
function factsOf(
  { drainingSince, maintenance }: AvailabilityState,
  { draining, maintenanceUntil }: AvailabilityChange,
  now: number,
): Record<string, string> {
  const facts: Record<string, string> = {};
  if (draining !== undefined && draining !== (drainingSince !== null))
    facts[FACTS.drainingSince] = draining ? toTime(now) : '';
  if (maintenanceUntil === null && maintenance !== null) {
    facts[FACTS.maintenanceSince] = '';
    facts[FACTS.maintenanceUntil] = '';
  }
  if (typeof maintenanceUntil === 'string' && Date.parse(maintenanceUntil) !== maintenance?.until) {
    facts[FACTS.maintenanceSince] = toTime(maintenance?.since ?? now);
    facts[FACTS.maintenanceUntil] = maintenanceUntil;
  }
  return facts;
}

/** Within a write, after the facts: the record says what they say. */
function signAvailability({ journal, agentKey, environment }: AvailabilityParts, now: number): void {
  const kind = 'availability';
  const data = { ...toAvailability(readState(journal, now)) };
  const header = { agentKey: agentKey.publicKey, contractId: NO_CONTRACT, kind, epoch: 0, at: now } as const;
  journal.write('availability.signed', (writer) => {
    writer.appendRecord(header, (place) =>
      signRecord(
        { ...place, at: toTime(now), environment, kind, contract_id: NO_CONTRACT, epoch: 0, data },
        agentKey,
      ),
    );
  });
}

const toTime = (ms: number): string => new Date(ms).toISOString();
