/** The journal as its one writing process has it: SQLite in WAL mode, one transaction a `write`. */
import { hashJws } from '@dc/shared/crypto/jws';
import { CHAIN_START } from '@dc/shared/evidence/record';
import type { Database } from 'better-sqlite3';
import { ContractMemory } from './contract-memory.ts';
import { ENDED_LONG_AGO, FORGET } from './forget-history.ts';
import type { OpenOptions } from './open-journal.ts';
import type {
  AskedRelease,
  ChainPlace,
  Journal,
  JournalInstance,
  JournalOrder,
  JournalRecord,
  JournalWriter,
  Lease,
  OrderName,
  OrderReturn,
  SagaView,
  UnaccountedInstance,
} from './journal.ts';
import type { SagaEvent } from './saga-event.ts';
import { translateError } from './sqlite-error.ts';
import { LIVE, SqliteReader } from './sqlite-reader.ts';
import { StatementCache } from './statement-cache.ts';

/** Made by `openJournal` only. */
export class SqliteJournal extends SqliteReader implements Journal {
  readonly #db: Database;
  readonly #memory = new ContractMemory();
  /** Runs work in a transaction that takes the write lock at its beginning. Made once: making one costs as much as a write. */
  readonly #transact: (work: (writer: JournalWriter) => unknown) => unknown;
  readonly #writer: SqliteWriter;
  readonly #release: () => void;
  readonly #onWrite: NonNullable<OpenOptions['onWrite']>;

  constructor(db: Database, release: () => void, onWrite: OpenOptions['onWrite']) {
    super(db);
    this.#db = db;
    this.#writer = new SqliteWriter(db, this.#memory);
    const transaction = db.transaction((work: (writer: JournalWriter) => unknown) => work(this.#writer));
    this.#transact = (work) => transaction.immediate(work);
    this.#release = release;
    this.#onWrite = onWrite ?? (() => undefined);
  }

  write<T>(label: string, work: (writer: JournalWriter) => T): T {
    if (this.#db.inTransaction) return work(this.#writer);
    this.#onWrite(label, 'before');
    let result: T;
    try {
      result = this.#transact(work) as T;
    } catch (error) {
      this.#memory.forgetAll(); // What was read in there has never happened.
      throw translateError(error, this.#db.name);
    }
    this.#onWrite(label, 'after');
    return result;
  }

  protected override ordersOf(contractId: string): readonly JournalOrder[] {
    return (this.#memory.of(contractId).orders ??= super.ordersOf(contractId));
  }

  protected override sagasOf(contractId: string): readonly SagaView[] {
    const known = this.#memory.of(contractId);
    if (known.sagas !== undefined) return known.sagas;
    const sagas = super.sagasOf(contractId);
    for (const { sagaId } of sagas) this.#memory.learnSaga(sagaId, contractId);
    return (known.sagas = sagas);
  }

  protected override instanceOf(contractId: string): JournalInstance | null {
    const known = this.#memory.of(contractId);
    return known.instance === undefined ? (known.instance = super.instanceOf(contractId)) : known.instance;
  }

  protected override pausedAtOf(contractId: string): number | null {
    const known = this.#memory.of(contractId);
    return known.pausedAt === undefined ? (known.pausedAt = super.pausedAtOf(contractId)) : known.pausedAt;
  }

  override lease(contractId: string): Lease | null {
    const known = this.#memory.of(contractId);
    return known.lease === undefined ? (known.lease = super.lease(contractId)) : known.lease;
  }

  override saga(sagaId: string): SagaView | null {
    const contractId = this.#memory.contractOf(sagaId);
    const sagas = contractId === undefined ? [] : this.sagasOf(contractId);
    const known = sagas.find((saga) => saga.sagaId === sagaId);
    if (known !== undefined) return known;
    const saga = super.saga(sagaId);
    if (saga !== null) this.#memory.learnSaga(sagaId, saga.contractId);
    return saga;
  }

  override isLeaseNeeded(lease: Pick<Lease, 'contractId' | 'epoch'>): boolean {
    const known = this.#memory.of(lease.contractId);
    if (known.needed?.epoch === lease.epoch) return known.needed.isNeeded;
    const isNeeded = super.isLeaseNeeded(lease);
    known.needed = { epoch: lease.epoch, isNeeded };
    return isNeeded;
  }

  override fact(name: string): string | null {
    const { facts } = this.#memory;
    const known = facts.get(name);
    if (known !== undefined) return known;
    const value = super.fact(name);
    facts.set(name, value);
    return value;
  }

  override close(): void {
    super.close();
    this.#release();
  }
}

class SqliteWriter implements JournalWriter {
  readonly #statements: StatementCache;
  readonly #memory: ContractMemory;

  /** Whatever changes what `memory` may hold is forgotten there first. */
  constructor(db: Database, memory: ContractMemory) {
    this.#statements = new StatementCache(db);
    this.#memory = memory;
  }

  saveOrder(order: Omit<JournalOrder, 'returned'>): boolean {
    this.#memory.forget(order.contractId, 'orders', 'needed');
    return this.#run(
      `INSERT INTO orders (order_id, contract_id, kind, epoch, expires_at, received_at, compact)
       VALUES (:orderId, :contractId, :kind, :epoch, :expiresAt, :receivedAt, :compact) ON CONFLICT DO NOTHING`,
      order,
    );
  }

  returnOrder(order: OrderName, reason: Omit<OrderReturn, 'deliveredAt'>): void {
    this.#memory.forgetAll(); // Which contract it is for only the table knows.
    this.#run(
      `UPDATE orders SET return_code = :code, return_detail = :detail, nothing_made = :nothingMade, returned_at = :at
       WHERE order_id = :orderId AND epoch = :epoch AND returned_at IS NULL`,
      { ...order, ...reason, nothingMade: reason.nothingMade ? 1 : 0 },
    );
  }

  acknowledgeReturn(order: OrderName, at: number): void {
    this.#memory.forgetAll();
    this.#run('UPDATE orders SET return_delivered_at = :at WHERE order_id = :orderId AND epoch = :epoch', {
      ...order,
      at,
    });
    // Handed back again and again, an order would fill the journal: the last time says enough.
    this.#run(
      'DELETE FROM orders WHERE order_id = :orderId AND epoch < :epoch AND return_delivered_at IS NOT NULL',
      order,
    );
  }

  saveLease(lease: Lease): boolean {
    this.#memory.forget(lease.contractId, 'lease', 'needed');
    return this.#run(
      `INSERT INTO leases (contract_id, order_id, epoch, granted_at, expires_at, lost)
       VALUES (:contractId, :orderId, :epoch, :grantedAt, :expiresAt, :lost)
       ON CONFLICT (contract_id) DO UPDATE SET order_id = excluded.order_id, epoch = excluded.epoch,
         granted_at = excluded.granted_at, expires_at = excluded.expires_at, lost = excluded.lost
       WHERE excluded.epoch > epoch OR (excluded.epoch = epoch AND lost = 0)`,
      { ...lease, lost: lease.lost ? 1 : 0 },
    );
  }

  createSaga(saga: Omit<SagaView, 'finished' | 'events'>): void {
    this.#memory.forget(saga.contractId, 'sagas');
    this.#memory.learnSaga(saga.sagaId, saga.contractId);
    this.#run(
      `INSERT INTO sagas (saga_id, contract_id, name, version, order_id, input, created_at)
       VALUES (:sagaId, :contractId, :name, :version, :orderId, :input, :createdAt)`,
      { ...saga, input: JSON.stringify(saga.input) },
    );
    const { sagaId, createdAt: at } = saga;
    this.#append({ sagaId, step: null, event: 'created', attempt: 0, at, data: null });
  }

  saveSagaSecret(sagaId: string, secret: Uint8Array): void {
    this.#run('INSERT INTO saga_secrets (saga_id, secret) VALUES (:sagaId, :secret)', {
      sagaId,
      secret: Buffer.from(secret),
    });
  }

  appendEvents(events: readonly SagaEvent[]): void {
    for (const event of events) this.#append(event);
  }

  finishSaga(sagaId: string, finished: NonNullable<SagaView['finished']>): void {
    const { outcome, at, epoch } = finished;
    this.#append({ sagaId, step: null, event: 'finished', attempt: 0, at, data: { outcome } });
    this.#run(
      'UPDATE sagas SET outcome = :outcome, finished_at = :at, epoch = :epoch WHERE saga_id = :sagaId',
      {
        sagaId,
        outcome,
        at,
        epoch,
      },
    );
    this.#memory.changeSaga(sagaId, (saga) => ({ ...saga, finished: { outcome, at, epoch } }));
    this.#memory.forgetNeed(sagaId);
    this.#run('DELETE FROM saga_secrets WHERE saga_id = :sagaId', { sagaId });
  }

  saveInstance(instance: JournalInstance): void {
    this.#memory.forget(instance.contractId, 'instance');
    this.#run(
      `INSERT INTO instances (contract_id, phase, handle, ssh, changed_at)
       VALUES (:contractId, :phase, :handle, :ssh, :changedAt)
       ON CONFLICT (contract_id) DO UPDATE SET phase = excluded.phase, handle = excluded.handle,
         ssh = excluded.ssh, changed_at = excluded.changed_at`,
      { ...instance, handle: JSON.stringify(instance.handle), ssh: JSON.stringify(instance.ssh) },
    );
  }

  appendRecord(
    record: Pick<JournalRecord, 'agentKey' | 'contractId' | 'kind' | 'epoch' | 'at'>,
    build: (place: ChainPlace) => string,
  ): JournalRecord {
    const last = this.#statements
      .prepare('SELECT seq, hash FROM records WHERE agent_key = ? ORDER BY seq DESC LIMIT 1')
      .get(record.agentKey) as { seq: number; hash: string } | undefined;
    const place: ChainPlace = { seq: (last?.seq ?? 0) + 1, prev: last?.hash ?? CHAIN_START };
    const compact = build(place);
    this.#run(
      `INSERT INTO records (agent_key, seq, compact, hash, contract_id, kind, epoch, at)
       VALUES (:agentKey, :seq, :compact, :hash, :contractId, :kind, :epoch, :at)`,
      { ...record, seq: place.seq, compact, hash: hashJws(compact) },
    );
    return { ...record, seq: place.seq, compact, acknowledgedAt: null, answer: null };
  }

  acknowledgeRecord(record: Pick<JournalRecord, 'agentKey' | 'seq'>, answer: string, at: number): void {
    this.#run(
      `UPDATE records SET acknowledged_at = :at, answer = :answer
       WHERE agent_key = :agentKey AND seq = :seq AND acknowledged_at IS NULL`,
      { agentKey: record.agentKey, seq: record.seq, answer, at },
    );
  }

  reopenRecords(agentKey: string, fromSeq: number): void {
    this.#run(
      `UPDATE records SET acknowledged_at = NULL, answer = NULL
       WHERE agent_key = :agentKey AND seq >= :fromSeq AND acknowledged_at IS NOT NULL`,
      { agentKey, fromSeq },
    );
  }

  saveRelease(release: AskedRelease): void {
    this.#memory.forget(release.contractId, 'pausedAt');
    this.#run(
      `INSERT INTO releases (saga_id, contract_id, instance_ids, reason, asked_at, allowed_at, counts)
       VALUES (:sagaId, :contractId, :instanceIds, :reason, :askedAt, :allowedAt, :counts) ON CONFLICT DO NOTHING`,
      {
        ...release,
        instanceIds: JSON.stringify(release.instanceIds),
        counts: release.allowedAt === null ? 0 : 1,
      },
    );
  }

  confirmReleases(sagaIds: readonly string[], at: number): number {
    this.#memory.forgetAll();
    this.#run('UPDATE releases SET counts = 0 WHERE counts = 1', {});
    return this.#statements
      .prepare(
        `UPDATE releases SET allowed_at = :at
         WHERE allowed_at IS NULL AND saga_id IN (SELECT value FROM json_each(:sagaIds))`,
      )
      .run({ at, sagaIds: JSON.stringify(sagaIds) }).changes;
  }

  forgetHistory(before: number, limit: number): number {
    this.#memory.forgetAll();
    const rows = this.#statements.prepare(ENDED_LONG_AGO(LIVE)).all({ before, limit }) as {
      contract_id: string;
    }[];
    const contractIds = JSON.stringify(rows.map((row) => row.contract_id));
    if (rows.length > 0) for (const sql of FORGET) this.#statements.prepare(sql).run({ contractIds });
    return rows.length;
  }

  saveUnaccounted(instance: UnaccountedInstance): void {
    this.#run(
      `INSERT INTO unaccounted VALUES
         (:id, :handle, :kind, :contractId, :why, :firstSeenAt, :lastSeenAt, :timesSeen, :destroyAskedAt, :goneAt)
       ON CONFLICT (id) DO UPDATE SET handle = excluded.handle, kind = excluded.kind,
         contract_id = excluded.contract_id, why = excluded.why, first_seen_at = excluded.first_seen_at,
         last_seen_at = excluded.last_seen_at, times_seen = excluded.times_seen,
         destroy_asked_at = excluded.destroy_asked_at, gone_at = excluded.gone_at`,
      { ...instance, handle: JSON.stringify(instance.handle) },
    );
  }

  removeUnaccounted(id: string): void {
    this.#run('DELETE FROM unaccounted WHERE id = :id', { id });
  }

  setFact(name: string, value: string): void {
    this.#memory.facts.delete(name);
    this.#run(
      'INSERT INTO facts VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      { name, value },
    );
  }

  #append(event: SagaEvent): void {
    const data = JSON.stringify(event.data ?? null);
    // Written only while the saga is open: `outcome` decides, not the caller's memory.
    const added = this.#run(
      `INSERT INTO saga_events (saga_id, step, event, attempt, at, data)
       SELECT :sagaId, :step, :event, :attempt, :at, :data
       FROM sagas WHERE saga_id = :sagaId AND outcome IS NULL`,
      { ...event, data },
    );
    if (!added) throw new Error(`saga ${event.sagaId} is not open: ${event.event} cannot be added`);
    const kept = { ...event, data: JSON.parse(data) as unknown } as SagaEvent;
    this.#memory.changeSaga(event.sagaId, (saga) => ({ ...saga, events: [...saga.events, kept] }));
  }

  /** True where a row changed. */
  #run(sql: string, values: object): boolean {
    return this.#statements.prepare(sql).run(values).changes > 0;
  }
}
