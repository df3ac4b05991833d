/**
 * The journal's tables, as an ordered list of migrations that only grows. A file that has seen more of them than
 * this program knows is refused with DATABASE_NEWER and left as it is.
 */
import { AppError } from '@dc/shared/errors';
import type { Database } from 'better-sqlite3';

const INIT = `
CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
  order_id            TEXT NOT NULL,
  contract_id         TEXT NOT NULL,
  kind                TEXT NOT NULL,
  epoch               INTEGER NOT NULL,
  expires_at          INTEGER NOT NULL,
  received_at         INTEGER NOT NULL,
  compact             TEXT NOT NULL,
  return_code         TEXT,
  return_detail       TEXT,
  nothing_made        INTEGER CHECK (nothing_made IN (0, 1)),
  returned_at         INTEGER,
  return_delivered_at INTEGER,
  -- An order comes again under its id, with a higher epoch, whenever it is leased anew.
  PRIMARY KEY (order_id, epoch)
) STRICT;
CREATE INDEX orders_of_contract ON orders (contract_id, received_at);
CREATE INDEX orders_to_return ON orders (returned_at)
  WHERE returned_at IS NOT NULL AND return_delivered_at IS NULL;

CREATE TABLE leases (
  contract_id TEXT PRIMARY KEY,
  order_id    TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  granted_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  lost        INTEGER NOT NULL CHECK (lost IN (0, 1))
) STRICT;

CREATE TABLE sagas (
  saga_id     TEXT PRIMARY KEY,
  contract_id TEXT NOT NULL,
  name        TEXT NOT NULL,
  version     INTEGER NOT NULL,
  order_id    TEXT NOT NULL,
  input       TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  outcome     TEXT CHECK (outcome IN ('reported', 'failed', 'declined', 'cancelled')),
  finished_at INTEGER,
  epoch       INTEGER
) STRICT;
CREATE INDEX sagas_of_contract ON sagas (contract_id, created_at);
-- Two sagas at work on one contract could each make an instance (I4).
CREATE UNIQUE INDEX one_open_saga ON sagas (contract_id) WHERE outcome IS NULL;

CREATE TABLE saga_events (
  event_id INTEGER PRIMARY KEY,
  saga_id  TEXT NOT NULL REFERENCES sagas (saga_id),
  step     TEXT,
  event    TEXT NOT NULL,
  attempt  INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  data     TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_saga ON saga_events (saga_id, event_id);
CREATE TRIGGER saga_events_stay BEFORE UPDATE ON saga_events
BEGIN SELECT RAISE(ABORT, 'saga events are only ever added'); END;

CREATE TABLE instances (
  contract_id TEXT PRIMARY KEY,
  phase       TEXT NOT NULL CHECK (phase IN ('running', 'stopped', 'destroyed')),
  handle      TEXT NOT NULL,
  ssh         TEXT NOT NULL,
  changed_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE records (
  record_id       INTEGER PRIMARY KEY,
  agent_key       TEXT NOT NULL,
  seq             INTEGER NOT NULL,
  compact         TEXT NOT NULL,
  hash            TEXT NOT NULL,
  contract_id     TEXT NOT NULL,
  kind            TEXT NOT NULL,
  epoch           INTEGER NOT NULL,
  at              INTEGER NOT NULL,
  acknowledged_at INTEGER,
  answer          TEXT,
  UNIQUE (agent_key, seq)
) STRICT;
CREATE INDEX records_to_deliver ON records (record_id) WHERE acknowledged_at IS NULL;
CREATE TRIGGER records_stay BEFORE UPDATE OF agent_key, seq, compact, hash ON records
BEGIN SELECT RAISE(ABORT, 'a record is signed once'); END;
`;

const BREAKER_AND_ORPHANS = `
CREATE TABLE releases (
  saga_id      TEXT PRIMARY KEY REFERENCES sagas (saga_id),
  contract_id  TEXT NOT NULL,
  instance_ids TEXT NOT NULL,
  reason       TEXT NOT NULL,
  asked_at     INTEGER NOT NULL,
  allowed_at   INTEGER,
  -- Whether it counts against the limit: not any more once the operator has confirmed.
  counts       INTEGER NOT NULL CHECK (counts IN (0, 1))
) STRICT;
CREATE INDEX releases_waiting ON releases (contract_id) WHERE allowed_at IS NULL;
CREATE INDEX releases_counted ON releases (allowed_at) WHERE counts = 1;

CREATE TABLE unaccounted (
  id               TEXT PRIMARY KEY,
  handle           TEXT NOT NULL,
  kind             TEXT NOT NULL CHECK (kind IN ('orphan', 'foreign')),
  contract_id      TEXT,
  why              TEXT,
  first_seen_at    INTEGER NOT NULL,
  last_seen_at     INTEGER NOT NULL,
  times_seen       INTEGER NOT NULL,
  destroy_asked_at INTEGER,
  gone_at          INTEGER
) STRICT;
`;

const SAGA_SECRETS = `
-- Half of what a password is made from. It goes in the commit that ends its saga.
CREATE TABLE saga_secrets (
  saga_id TEXT PRIMARY KEY REFERENCES sagas (saga_id),
  secret  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`;

/** Every migration, oldest first. Never changed once released; new ones go at the end. */
export const MIGRATIONS: readonly string[] = [INIT, BREAKER_AND_ORPHANS, SAGA_SECRETS];

/** The version that this program reads and writes. */
export const JOURNAL_VERSION = MIGRATIONS.length;

/** How many migrations the file has seen. Throws DATABASE_NEWER where that is more than this program knows. */
export function readVersion(db: Database, path: string): number {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > JOURNAL_VERSION) {
    throw new AppError(
      'DATABASE_NEWER',
      `The journal ${path} has version ${String(version)}; this program knows ${String(JOURNAL_VERSION)}.`,
    );
  }
  return version;
}

/** Brings the journal up to date, each migration in its own transaction. Idempotent. */
export function migrate(db: Database, path: string): void {
  for (let version = readVersion(db, path); version < JOURNAL_VERSION; version += 1) {
    db.transaction(() => {
      db.exec(MIGRATIONS[version] ?? '');
      db.pragma(`user_version = ${String(version + 1)}`);
    }).immediate();
  }
}
