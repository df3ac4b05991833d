/** Reads the journal from SQLite: rows to views, nothing else. */
import { parseJws } from '@dc/shared/crypto/jws';
import { AppError } from '@dc/shared/errors';
import type { OrderPayload } from '@dc/shared/orders/order';
import type { Database } from 'better-sqlite3';
import type {
  AskedRelease,
  ContractView,
  DestructionWindow,
  InstancePhase,
  JournalInstance,
  JournalOrder,
  JournalReader,
  JournalRecord,
  Lease,
  OrderReturn,
  SagaView,
  UnaccountedInstance,
} from './journal.ts';
import type { SagaEvent, SagaOutcome } from './saga-event.ts';
import { StatementCache } from './statement-cache.ts';

/** The fact that holds the journal's own id. */
export const JOURNAL_ID = 'journal_id';

/** How many sagas of a contract a view holds: enough to explain, little enough to plan with. */
const SAGAS_MAX = 20;

interface OrderRow extends Omit<JournalOrder, 'payload' | 'returned'> {
  returnCode: OrderReturn['code'] | null;
  returnDetail: string;
  nothingMade: number;
  returnedAt: number;
  returnDeliveredAt: number | null;
}

interface SagaRow extends Omit<SagaView, 'input' | 'finished' | 'events'> {
  input: string;
  outcome: SagaOutcome | null;
  finishedAt: number;
  epoch: number | null;
}

interface EventRow {
  sagaId: string;
  step: string | null;
  event: string;
  attempt: number;
  at: number;
  data: string;
}

interface InstanceRow extends Omit<JournalInstance, 'handle' | 'ssh'> {
  handle: string;
  ssh: string;
}

interface ReleaseRow extends Omit<AskedRelease, 'instanceIds'> {
  instanceIds: string;
}

interface UnaccountedRow extends Omit<UnaccountedInstance, 'handle'> {
  handle: string;
}

const ORDER_COLUMNS = `order_id AS orderId, contract_id AS contractId, kind, epoch, expires_at AS expiresAt,
  received_at AS receivedAt, compact, return_code AS returnCode, return_detail AS returnDetail,
  nothing_made AS nothingMade, returned_at AS returnedAt,
  return_delivered_at AS returnDeliveredAt`;
const SAGA_COLUMNS = `saga_id AS sagaId, contract_id AS contractId, name, version, order_id AS orderId, input,
  created_at AS createdAt, outcome, finished_at AS finishedAt, epoch`;
const INSTANCE_COLUMNS = `contract_id AS contractId, phase, handle, ssh, changed_at AS changedAt`;
const RECORD_COLUMNS = `agent_key AS agentKey, seq, compact, contract_id AS contractId, kind, epoch, at,
  acknowledged_at AS acknowledgedAt, answer`;
const RELEASE_COLUMNS = `saga_id AS sagaId, contract_id AS contractId, instance_ids AS instanceIds, reason,
  asked_at AS askedAt, allowed_at AS allowedAt`;

// Contracts whose instance was there at a time: reported before it, and since then at most destroyed by a release
// that counts. What was made after it raises no limit.
const WINDOW = `
  SELECT
    (SELECT count(*) FROM releases WHERE allowed_at IS NULL) AS waiting,
    (SELECT coalesce(sum(json_array_length(instance_ids)), 0)
     FROM releases WHERE counts = 1 AND allowed_at > :since) AS counted,
    (SELECT count(*) FROM (
       SELECT contract_id FROM instances WHERE phase <> 'destroyed'
       UNION SELECT contract_id FROM releases WHERE counts = 1 AND allowed_at > :since
     ) held WHERE EXISTS (
       SELECT 1 FROM sagas s WHERE s.contract_id = held.contract_id AND s.name = 'provision-instance'
       AND s.outcome = 'reported' AND s.finished_at <= :since
     )) AS held`;

/** SQL: whether the contract of a row `o` is live. An order waits until a saga has reported under its epoch, or it is handed back. */
export const LIVE = `
  EXISTS (SELECT 1 FROM sagas s WHERE s.contract_id = o.contract_id AND s.outcome IS NULL)
  OR EXISTS (SELECT 1 FROM instances i WHERE i.contract_id = o.contract_id AND i.phase <> 'destroyed')
  OR EXISTS (
    SELECT 1 FROM orders open WHERE open.contract_id = o.contract_id AND open.returned_at IS NULL
    AND open.epoch > coalesce((SELECT max(s.epoch) FROM sagas s WHERE s.contract_id = o.contract_id), -1))`;

// A report answers every order under its epoch or an older one.
const LEASE_NEEDED = `
  SELECT 1 FROM leases l JOIN orders o ON o.contract_id = l.contract_id AND o.epoch = l.epoch
  WHERE l.contract_id = ? AND l.epoch = ? AND l.lost = 0 AND o.returned_at IS NULL
  AND o.epoch > coalesce((SELECT max(s.epoch) FROM sagas s WHERE s.contract_id = l.contract_id), -1)`;

// Of each contract the order with the highest epoch.
const HELD_ORDERS = `
  SELECT compact FROM orders o WHERE epoch = (SELECT max(epoch) FROM orders n WHERE n.contract_id = o.contract_id)
  AND (received_at >= :since OR EXISTS (
    SELECT 1 FROM instances i WHERE i.contract_id = o.contract_id AND i.phase <> 'destroyed'))
  ORDER BY rowid`;

/** A journal that is only read. */
export class SqliteReader implements JournalReader {
  readonly #db: Database;
  readonly #statements: StatementCache;
  readonly journalId: string;

  constructor(db: Database) {
    this.#db = db;
    this.#statements = new StatementCache(db);
    const journalId = this.#readFact(JOURNAL_ID);
    if (journalId === null) throw new AppError('JOURNAL_CORRUPT', 'The journal has lost its id.');
    this.journalId = journalId;
  }

  contract(contractId: string): ContractView | null {
    const orders = this.ordersOf(contractId);
    if (orders.length === 0) return null;
    return {
      contractId,
      orders,
      lease: this.lease(contractId),
      sagas: this.sagasOf(contractId),
      instance: this.instanceOf(contractId),
      pausedAt: this.pausedAtOf(contractId),
    };
  }

  protected ordersOf(contractId: string): readonly JournalOrder[] {
    return this.#all<OrderRow>(
      `SELECT ${ORDER_COLUMNS} FROM orders WHERE contract_id = ? ORDER BY received_at, epoch, order_id`,
      contractId,
    ).map(toOrder);
  }

  protected sagasOf(contractId: string): readonly SagaView[] {
    const rows = this.#all<SagaRow>(
      `SELECT ${SAGA_COLUMNS} FROM sagas WHERE contract_id = ? ORDER BY created_at DESC, rowid DESC LIMIT ?`,
      contractId,
      SAGAS_MAX,
    );
    return rows.reverse().map((row) => this.#toSaga(row));
  }

  protected instanceOf(contractId: string): JournalInstance | null {
    const sql = `SELECT ${INSTANCE_COLUMNS} FROM instances WHERE contract_id = ?`;
    const row = this.#get(sql, contractId) as InstanceRow | undefined;
    return row === undefined ? null : toInstance(row);
  }

  protected pausedAtOf(contractId: string): number | null {
    const sql = 'SELECT min(asked_at) AS pausedAt FROM releases WHERE contract_id = ? AND allowed_at IS NULL';
    return (this.#get(sql, contractId) as { pausedAt: number | null }).pausedAt;
  }

  saga(sagaId: string): SagaView | null {
    const row = this.#get(`SELECT ${SAGA_COLUMNS} FROM sagas WHERE saga_id = ?`, sagaId) as
      SagaRow | undefined;
    return row === undefined ? null : this.#toSaga(row);
  }

  sagaSecret(sagaId: string): Uint8Array | null {
    const row = this.#get('SELECT secret FROM saga_secrets WHERE saga_id = ?', sagaId) as
      { secret: Buffer } | undefined;
    return row === undefined ? null : new Uint8Array(row.secret);
  }

  lease(contractId: string): Lease | null {
    const row = this.#get(
      `SELECT contract_id AS contractId, order_id AS orderId, epoch, granted_at AS grantedAt,
       expires_at AS expiresAt, lost FROM leases WHERE contract_id = ?`,
      contractId,
    ) as (Omit<Lease, 'lost'> & { lost: number }) | undefined;
    return row === undefined ? null : { ...row, lost: row.lost === 1 };
  }

  isLeaseNeeded({ contractId, epoch }: Pick<Lease, 'contractId' | 'epoch'>): boolean {
    return this.#get(LEASE_NEEDED, contractId, epoch) !== undefined;
  }

  newestEpoch(contractId: string): number {
    const sql = 'SELECT max(epoch) AS epoch FROM orders WHERE contract_id = ?';
    return (this.#statements.prepare(sql).get(contractId) as { epoch: number | null }).epoch ?? 0;
  }

  newestOrder(): string | null {
    const sql = 'SELECT compact FROM orders ORDER BY rowid DESC LIMIT 1';
    return (this.#statements.prepare(sql).get() as { compact: string } | undefined)?.compact ?? null;
  }

  heldOrders(since: number): string[] {
    const rows = this.#statements.prepare(HELD_ORDERS).all({ since }) as { compact: string }[];
    return rows.map((row) => row.compact);
  }

  contractIds(which: 'live' | 'all'): string[] {
    const rows = this.#all<{ contractId: string }>(
      `SELECT contract_id AS contractId FROM (SELECT contract_id, min(received_at) AS first FROM orders
       GROUP BY contract_id) o ${which === 'live' ? `WHERE ${LIVE}` : ''} ORDER BY first, contract_id`,
    );
    return rows.map((row) => row.contractId);
  }

  instances(phases: readonly InstancePhase[]): JournalInstance[] {
    return this.#all<InstanceRow>(
      `SELECT ${INSTANCE_COLUMNS} FROM instances WHERE phase IN (SELECT value FROM json_each(?)) ORDER BY contract_id`,
      JSON.stringify(phases),
    ).map(toInstance);
  }

  undeliveredRecords(limit: number): JournalRecord[] {
    return this.#all<JournalRecord>(
      `SELECT ${RECORD_COLUMNS} FROM records WHERE acknowledged_at IS NULL ORDER BY record_id LIMIT ?`,
      limit,
    );
  }

  lastSeq(agentKey: string): number {
    const sql = 'SELECT max(seq) AS seq FROM records WHERE agent_key = ?';
    return (this.#get(sql, agentKey) as { seq: number | null } | undefined)?.seq ?? 0;
  }

  undeliveredReturns(limit: number): JournalOrder[] {
    return this.#all<OrderRow>(
      `SELECT ${ORDER_COLUMNS} FROM orders WHERE returned_at IS NOT NULL AND return_delivered_at IS NULL
       ORDER BY returned_at LIMIT ?`,
      limit,
    ).map(toOrder);
  }

  release(sagaId: string): AskedRelease | null {
    const row = this.#get(`SELECT ${RELEASE_COLUMNS} FROM releases WHERE saga_id = ?`, sagaId);
    return row === undefined ? null : toRelease(row as ReleaseRow);
  }

  pausedReleases(): AskedRelease[] {
    return this.#all<ReleaseRow>(
      `SELECT ${RELEASE_COLUMNS} FROM releases WHERE allowed_at IS NULL ORDER BY asked_at, saga_id`,
    ).map(toRelease);
  }

  destructionWindow(since: number): DestructionWindow {
    return this.#statements.prepare(WINDOW).get({ since }) as DestructionWindow;
  }

  unaccounted(): UnaccountedInstance[] {
    return this.#all<UnaccountedRow>(
      `SELECT id, handle, kind, contract_id AS contractId, why, first_seen_at AS firstSeenAt,
       last_seen_at AS lastSeenAt, times_seen AS timesSeen,
       destroy_asked_at AS destroyAskedAt, gone_at AS goneAt
       FROM unaccounted ORDER BY first_seen_at, id`,
    ).map((row) => ({ ...row, handle: JSON.parse(row.handle) as UnaccountedInstance['handle'] }));
  }

  fact(name: string): string | null {
    return this.#readFact(name);
  }

  close(): void {
    this.#db.close();
  }

  #readFact(name: string): string | null {
    const row = this.#get('SELECT value FROM facts WHERE name = ?', name) as { value: string } | undefined;
    return row?.value ?? null;
  }

  #toSaga(row: SagaRow): SagaView {
    const { outcome, finishedAt, epoch, input, ...saga } = row;
    const events = this.#all<EventRow>(
      'SELECT saga_id AS sagaId, step, event, attempt, at, data FROM saga_events WHERE saga_id = ? ORDER BY event_id',
      row.sagaId,
    );
    return {
      ...saga,
      input: JSON.parse(input) as unknown,
      finished: outcome === null ? null : { outcome, at: finishedAt, epoch },
      events: events.map((event) => ({ ...event, data: JSON.parse(event.data) as unknown }) as SagaEvent),
    };
  }

  #get(sql: string, ...values: unknown[]): unknown {
    return this.#statements.prepare(sql).get(...values);
  }

  #all<Row>(sql: string, ...values: unknown[]): Row[] {
    return this.#statements.prepare(sql).all(...values) as Row[];
  }
}

function toOrder(row: OrderRow): JournalOrder {
  const { returnCode, returnDetail, nothingMade, returnedAt, returnDeliveredAt, ...order } = row;
  const jws = parseJws(row.compact);
  if (jws === null)
    throw new AppError('JOURNAL_CORRUPT', `The journal's order ${row.orderId} cannot be read.`);
  const returned: OrderReturn | null =
    returnCode === null
      ? null
      : {
          code: returnCode,
          detail: returnDetail,
          nothingMade: nothingMade === 1,
          at: returnedAt,
          deliveredAt: returnDeliveredAt,
        };
  // It was verified before it was kept.
  return { ...order, payload: jws.payload as OrderPayload, returned };
}

function toRelease(row: ReleaseRow): AskedRelease {
  return { ...row, instanceIds: JSON.parse(row.instanceIds) as string[] };
}

function toInstance(row: InstanceRow): JournalInstance {
  return {
    ...row,
    handle: JSON.parse(row.handle) as JournalInstance['handle'],
    ssh: JSON.parse(row.ssh) as JournalInstance['ssh'],
  };
}
