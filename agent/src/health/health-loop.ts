/**
 * Looks at every running instance once a minute, and signs what it saw: when the verdict changes, and every five
 * minutes otherwise, so that a chain of evidence grows by a known measure.
 */
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { isAppError } from '@dc/shared/errors';
import { signRecord } from '@dc/shared/evidence/record';
import type { Random } from '@dc/shared/random';
import type { Journal, JournalInstance } from '../journal/journal.ts';
import { jittered } from '../lib/backoff.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { SshAccess } from '../provisioners/provisioner.ts';
import { HEALTH_UNKNOWN, judgeHealth, type Health } from './judge-health.ts';

const LOOK_EVERY_MS = 60_000;
const REPORT_EVERY_MS = 300_000;
/** Sockets open at once: a thousand instances are looked at within half a minute, also where none answers. */
const PARALLEL_MAX = 50;

/** Looks at an instance: how long it took to answer, in milliseconds. INSTANCE_UNREACHABLE where it does not. */
export type Look = (address: Pick<SshAccess, 'host' | 'port'>, signal: AbortSignal) => Promise<number>;

export interface HealthParts {
  readonly journal: Journal;
  readonly look: Look;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly agentKey: SigningKey;
  readonly environment: string;
  /** Called when records were signed. */
  readonly onRecord: () => void;
}

/** What is known of one instance between two looks. */
interface Patient {
  health: Health;
  latencyMs: number | null;
  reported: Health['verdict'];
  reportedAt: number;
}

type Watched = JournalInstance & { readonly ssh: SshAccess };

export class HealthLoop {
  readonly #parts: HealthParts;
  readonly #patients = new Map<string, Patient>();

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  /** What is known of a contract's instance. */
  verdictOf(contractId: string): Health['verdict'] {
    return this.#patients.get(contractId)?.health.verdict ?? 'unknown';
  }

  /** One look at all of them. */
  readonly turn: Turn = async (signal) => {
    const { journal, random } = this.#parts;
    const watched = journal.instances(['running']).filter((one): one is Watched => one.ssh !== null);
    const ids = new Set(watched.map(({ contractId }) => contractId));
    for (const id of this.#patients.keys()) if (!ids.has(id)) this.#patients.delete(id);
    const queue = [...watched];
    const looker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await this.#lookAt(next, signal);
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL_MAX, queue.length) }, looker));
    this.#report();
    return jittered(LOOK_EVERY_MS, random, 0.1);
  };

  async #lookAt({ contractId, ssh }: Watched, signal: AbortSignal): Promise<void> {
    const { look, log } = this.#parts;
    const patient = this.#patientOf(contractId);
    let latencyMs: number | null = null;
    try {
      latencyMs = await look({ host: ssh.host, port: ssh.port }, signal);
    } catch (error) {
      if (!isAppError(error, 'INSTANCE_UNREACHABLE')) throw error;
      log.debug({ contract_id: contractId, why: error.message }, 'instance.silent');
    }
    patient.latencyMs = latencyMs;
    patient.health = judgeHealth(patient.health, latencyMs !== null);
  }

  #patientOf(contractId: string): Patient {
    const known = this.#patients.get(contractId);
    if (known !== undefined) return known;
    const patient: Patient = {
      health: HEALTH_UNKNOWN,
      latencyMs: null,
      reported: 'unknown',
      reportedAt: -Infinity,
    };
    this.#patients.set(contractId, patient);
    return patient;
  }

  /** Signs what is due, all of it in one commit. */
  #report(): void {
    const { journal, clock, log, onRecord } = this.#parts;
    const now = clock.monotonic();
    const due = [...this.#patients].filter(([, { health, reported, reportedAt }]) => {
      if (health.verdict === 'unknown') return false;
      return health.verdict !== reported || now - reportedAt >= REPORT_EVERY_MS;
    });
    if (due.length === 0) return;
    journal.write('health.reported', () => {
      for (const [contractId, patient] of due) this.#sign(contractId, patient);
    });
    for (const [contractId, patient] of due) {
      const { verdict } = patient.health;
      if (verdict !== patient.reported)
        log.info({ contract_id: contractId, verdict }, 'instance.health.changed');
      patient.reported = verdict;
      patient.reportedAt = now;
    }
    onRecord();
  }

  #sign(contractId: string, { health, latencyMs }: Patient): void {
    const { journal, clock, agentKey, environment } = this.#parts;
    const now = Math.round(clock.now());
    const epoch = journal.lease(contractId)?.epoch ?? 0;
    const data = { status: health.verdict, latency_ms: latencyMs === null ? null : Math.round(latencyMs) };
    const payload = { at: new Date(now).toISOString(), environment, kind: 'health' as const, epoch, data };
    journal.write('health.signed', (writer) => {
      writer.appendRecord(
        { agentKey: agentKey.publicKey, contractId, kind: 'health', epoch, at: now },
        (place) => signRecord({ ...place, ...payload, contract_id: contractId }, agentKey),
      );
    });
  }
}
