/** What every slice of the coordinator is made with. Only `wiring.ts` builds one. */
import type { Logger } from 'pino';
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { Random } from '@dc/shared/random';
import type { CoordinatorConfig } from './config/config.ts';
import type { Database } from './database/database.ts';
import type { EventStreams } from './http/event-streams.ts';
import type { CoordinatorKeys } from './keys/coordinator-keys.ts';
import type { Outbox } from './jobs/outbox.ts';
import type { Signals } from './jobs/signals.ts';
import type { LedgerStore } from './payments/ledger-store.ts';

export interface Context {
  config: CoordinatorConfig;
  db: Database;
  clock: Clock;
  /** When this process was made, in milliseconds since the epoch. */
  startedAt: number;
  random: Random;
  /** The coordinator's own key as it is now: signs orders and checkpoints. Another one after a rotation. */
  readonly key: SigningKey;
  /** Every key that it ever had, and the announcements that lead from one to the next. */
  keys: CoordinatorKeys;
  log: Logger;
  /** Tells the streams of all coordinator processes what changed. */
  signals: Signals;
  /** What must leave after the commit. */
  outbox: Outbox;
  ledger: LedgerStore;
  /** The open server-sent event streams. */
  streams: EventStreams;
}
