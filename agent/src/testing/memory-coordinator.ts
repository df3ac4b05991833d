/**
 * A coordinator in memory, for tests of the loops on virtual time: leases with epochs, a chain of records, a stream.
 * It knows no money and no renters. That the real one behaves the same is tested in e2e/, where both sides live.
 */
import type { Clock } from '@dc/shared/clock';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import {
  CHAIN_START,
  signCheckpoint,
  verifyRecord,
  type ParsedRecord,
  type RecordKind,
} from '@dc/shared/evidence/record';
import { signOrder, type OrderKind, type OrderSpec } from '@dc/shared/orders/order';
import {
  FIRST_LEASE_MS_MAX,
  type WireHeartbeat,
  type WireHeartbeatAnswer,
  type WireHeldEvidence,
  type WireLease,
  type WireRecordResult,
  type WireReturnWork,
} from '@dc/shared/wire/agent';
import type {
  Coordinator,
  RecordsTaken,
  RenewedLease,
  StreamEvent,
} from '../coordinator-client/coordinator.ts';

export const ENVIRONMENT = 'test';
const SPEC: OrderSpec = {
  offering_id: '01890000-0000-7000-8000-000000000001',
  cpu: 1,
  memory_mb: 512,
  disk_gb: 5,
  operating_system: 'debian-12',
  ssh_public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm5ZzGzjnP5XrkWx0b8ZQWl0r6ZmBW0x4pY8Vf8XfWk',
};

/** What a record ends, where that is not the provisioning. */
const WORK_OF_RECORD: Partial<Record<RecordKind, OrderKind>> = {
  destroyed: 'destroy',
  password_reset: 'reset_password',
  ssh_key_rotated: 'rotate_ssh_key',
};

/** One thing to do. */
export interface WorkItem {
  readonly orderId: string;
  readonly contractId: string;
  readonly kind: OrderKind;
  state: 'open' | 'leased' | 'done';
  expiresAt: number;
  /** What was said when it came back. */
  returned: WireReturnWork | null;
  /** Changes to the order before it is signed: to make a bad one. */
  readonly change: object;
}

export class MemoryCoordinator implements Coordinator {
  /** Signs orders and receipts. */
  key = SigningKey.fromSeed(new Uint8Array(32).fill(7));
  /** The announcements of its keys. */
  readonly rotations: string[] = [];
  readonly work: WorkItem[] = [];
  readonly records: ParsedRecord[] = [];
  readonly beats: WireHeartbeat[] = [];
  /** What it was told that the agent holds. */
  readonly toldOrders: string[][] = [];
  /** What heartbeats say of a safe mode. */
  safeMode: WireHeartbeatAnswer['safe_mode'] = undefined;
  /** The names of all calls, in order. */
  readonly calls: string[] = [];
  /** Contracts that another agent answers for. */
  readonly elsewhere = new Set<string>();
  /** The account keys of every renter. */
  sealTo: string[] = [];
  ttlMs = 60_000;
  intervalMs = 30_000;
  /** Called at the start of every call; what it throws is the answer, what it waits for delays it. */
  before: (call: string) => void | Promise<void> = () => undefined;
  readonly #epochs = new Map<string, number>();
  readonly #streams = new Set<{ send(event: StreamEvent): void; end(error?: AppError): void }>();
  readonly #clock: Clock;
  readonly #agentKey: string;
  #ids = 0;

  constructor(clock: Clock, agentKey: string) {
    this.#clock = clock;
    this.#agentKey = agentKey;
  }

  /** Adds a work item and nudges the stream. */
  addWork(kind: OrderKind, contractId: string, change: object = {}): WorkItem {
    const orderId = `01890000-0000-7000-9000-${String((this.#ids += 1)).padStart(12, '0')}`;
    const item: WorkItem = { orderId, contractId, kind, state: 'open', expiresAt: 0, returned: null, change };
    this.work.push(item);
    this.nudge();
    return item;
  }

  nudge(): void {
    for (const stream of this.#streams) stream.send({ name: 'work', data: '' });
  }

  /** Cuts every stream, as a network does. */
  cutStreams(error?: AppError): void {
    for (const stream of this.#streams) stream.end(error);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  epochOf(contractId: string): number {
    return this.#epochs.get(contractId) ?? 0;
  }

  /** Begins to count epochs anew, as one that was restored from an older backup. */
  forgetEpochs(): void {
    this.#epochs.clear();
  }

  async heartbeat(beat: WireHeartbeat, signal: AbortSignal): Promise<WireHeartbeatAnswer> {
    await this.#begin('heartbeat', signal);
    this.beats.push(beat);
    return {
      server_time: new Date(this.#clock.now()).toISOString(),
      next_interval_ms: this.intervalMs,
      open_work: this.#leasable().length,
      records_held: this.records.length,
      held_elsewhere: (beat.in_question ?? []).filter((id) => this.elsewhere.has(id)),
      key_rotations: this.rotations.length,
      ...(this.safeMode === undefined ? {} : { safe_mode: this.safeMode }),
    };
  }

  async keyRotations(signal: AbortSignal): Promise<string[]> {
    await this.#begin('key_rotations', signal);
    return [...this.rotations];
  }

  async leaseWork(max: number, signal: AbortSignal): Promise<WireLease[]> {
    await this.#begin('lease', signal);
    return this.#leasable()
      .slice(0, max)
      .map((item) => this.#leaseOne(item));
  }

  async renewLease(orderId: string, epoch: number, signal: AbortSignal): Promise<RenewedLease> {
    await this.#begin('renew', signal);
    const item = this.#held(orderId, epoch);
    item.expiresAt = this.#clock.now() + this.ttlMs;
    return { epoch, ttlMs: this.ttlMs };
  }

  async returnWork(orderId: string, body: WireReturnWork, signal: AbortSignal): Promise<void> {
    await this.#begin('return', signal);
    const item = this.#held(orderId, body.epoch);
    item.state = 'done'; // The real one opens it again for another agent; here there is none.
    item.returned = body;
  }

  async submitRecords(
    compacts: readonly string[],
    signal: AbortSignal,
    _held?: WireHeldEvidence,
  ): Promise<RecordsTaken> {
    await this.#begin('records', signal);
    const results = compacts.map((compact) => this.#take(compact));
    const last = verifyRecord(compacts.at(-1) ?? '');
    if (last === null) throw new AppError('RECORD_INVALID');
    const receivedAt = new Date(this.#clock.now()).toISOString();
    const receipt = { agent: last.agent, seq: last.payload.seq, hash: last.hash, received_at: receivedAt };
    return { results, checkpoint: signCheckpoint(receipt, this.key) };
  }

  async tellOrders(
    orders: readonly string[],
    _isLast: boolean,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    await this.#begin('held_orders', signal);
    this.toldOrders.push([...orders]);
    return [];
  }

  async readStream(onEvent: (event: StreamEvent) => void, signal: AbortSignal): Promise<void> {
    await this.#begin('stream', signal);
    await new Promise<void>((resolve, reject) => {
      const end = (error?: AppError): void => {
        this.#streams.delete(stream);
        signal.removeEventListener('abort', stop);
        if (error === undefined) resolve();
        else reject(error);
      };
      const stop = (): void => end(new AppError('SAGA_ABORTED'));
      const stream = { send: onEvent, end };
      this.#streams.add(stream);
      signal.addEventListener('abort', stop, { once: true });
      onEvent({ name: 'hello', data: '' });
    });
  }

  serverNow(): number {
    return this.#clock.now();
  }

  async requestPasswordReset(contractId: string, signal: AbortSignal): Promise<void> {
    await this.#begin('reset', signal);
    this.addWork('reset_password', contractId, { spec: { seal_to: this.sealTo } });
  }

  async close(): Promise<void> {
    this.cutStreams();
  }

  async #begin(call: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new AppError('SAGA_ABORTED');
    this.calls.push(call);
    const stopped = Promise.withResolvers<never>();
    const stop = (): void => stopped.reject(new AppError('SAGA_ABORTED'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      await Promise.race([this.before(call), stopped.promise]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
    if (signal.aborted) throw new AppError('SAGA_ABORTED');
  }

  #leasable(): WorkItem[] {
    const now = this.#clock.now();
    return this.work.filter(
      ({ state, expiresAt }) => state === 'open' || (state === 'leased' && expiresAt <= now),
    );
  }

  #leaseOne(item: WorkItem): WireLease {
    const now = this.#clock.now();
    const epoch = this.epochOf(item.contractId) + 1;
    this.#epochs.set(item.contractId, epoch);
    item.state = 'leased';
    const ttlMs = Math.min(FIRST_LEASE_MS_MAX, this.ttlMs);
    item.expiresAt = now + ttlMs;
    const payload = {
      iss: this.key.publicKey,
      aud: this.#agentKey,
      sub: item.contractId,
      kind: item.kind,
      epoch,
      iat: Math.floor(now / 1000),
      exp: Math.floor(now / 1000) + 300,
      jti: item.orderId,
      environment: ENVIRONMENT,
      ...(item.kind === 'provision' ? { spec: SPEC } : {}),
      ...(item.kind === 'destroy'
        ? { tombstone: { contract_id: item.contractId, reason: 'expired', at: new Date(now).toISOString() } }
        : {}),
      ...item.change,
    };
    return {
      order_id: item.orderId,
      order: signOrder(payload, this.key),
      contract_id: item.contractId,
      kind: item.kind,
      epoch,
      expires_at: new Date(item.expiresAt).toISOString(),
      ttl_ms: ttlMs,
    };
  }

  #held(orderId: string, epoch: number): WorkItem {
    const item = this.work.find((one) => one.orderId === orderId);
    if (item === undefined) throw new AppError('ORDER_NOT_FOUND');
    if (item.state !== 'leased' || this.epochOf(item.contractId) !== epoch) throw new AppError('LEASE_STALE');
    return item;
  }

  #take(compact: string): WireRecordResult {
    const record = verifyRecord(compact);
    if (record?.agent !== this.#agentKey) throw new AppError('RECORD_INVALID');
    const { seq, prev, contract_id: contractId, kind, epoch } = record.payload;
    const held = this.records[seq - 1];
    if (held !== undefined) {
      if (held.hash !== record.hash) throw new AppError('RECORD_FORK');
      return { seq, outcome: 'already_applied' };
    }
    const next = this.records.length + 1;
    if (seq > next) throw new AppError('RECORD_GAP', undefined, { extra: { expected_seq: next } });
    if (prev !== (this.records.at(-1)?.hash ?? CHAIN_START)) throw new AppError('RECORD_FORK');
    this.records.push(record);
    if (kind === 'health' || kind === 'availability') return { seq, outcome: 'applied' };
    if (kind !== 'destroyed' && epoch !== this.epochOf(contractId)) {
      return { seq, outcome: 'not_applied', code: 'LEASE_STALE' };
    }
    const done = WORK_OF_RECORD[kind] ?? 'provision';
    for (const item of this.work) {
      if (item.contractId === contractId && item.kind === done) item.state = 'done';
    }
    return { seq, outcome: 'applied' };
  }
}
