/** What the running agent leaves in the journal about itself, for `status`, `doctor` and the next start. */
import type { JournalReader } from '../journal/journal.ts';

/** The facts by name. All are texts; times are RFC 3339, and an empty text stands for none. */
export const FACTS = {
  /** Written every few seconds while the process runs: proof that the journal can be written. */
  aliveAt: 'alive_at',
  lastContactAt: 'last_contact_at',
  /** Since when the coordinator has not answered. */
  contactLostAt: 'contact_lost_at',
  /** JSON: RunningProcess. */
  process: 'process',
  /** JSON: {code, detail, remedy, at}: why the agent ended itself. */
  stoppedBecause: 'stopped_because',
  /** JSON: BackendSeen. */
  backend: 'backend',
  /** Since when the agent drains, and is in maintenance and until when; see availability/. */
  drainingSince: 'draining_since',
  maintenanceSince: 'maintenance_since',
  maintenanceUntil: 'maintenance_until',
  /** The coordinator's receipt for the newest record that it holds. */
  checkpoint: 'checkpoint',
} as const;

/** The process that writes the journal. */
export interface RunningProcess {
  readonly pid: number;
  readonly version: string;
  readonly started_at: string;
}

/** What the backend last said. */
export interface BackendSeen {
  readonly kind: string;
  readonly healthy: boolean;
  readonly why: string;
  readonly at: string;
  /** Instances that carry our seal and that the journal does not know. */
  readonly orphans: number;
}

/** A JSON fact; null where there is none. */
export function readJsonFact(journal: JournalReader, name: string): unknown {
  const text = journal.fact(name) ?? '';
  return text === '' ? null : (JSON.parse(text) as unknown);
}

/** A time in milliseconds; null where there is none. */
export function readTimeFact(journal: JournalReader, name: string): number | null {
  const time = Date.parse(journal.fact(name) ?? '');
  return Number.isNaN(time) ? null : time;
}
