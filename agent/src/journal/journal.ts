/**
 * The port to the agent's journal: the orders it took, what its sagas did, the instances it answers for, and the
 * outbox of signed records. It is an intent log, not a debug log: what it says is acted upon after a crash.
 *
 * INVARIANTS:
 * - Everything written in one `write` is durable together when `write` returns, or not at all.
 * - Saga events and records are only ever added. A record is signed once, inside the write that makes it.
 * - One process writes; any number read.
 */
import type { OrderKind, OrderPayload } from '@dc/shared/orders/order';
import type { RecordKind } from '@dc/shared/evidence/record';
import type { RETURN_CODES } from '@dc/shared/wire/agent';
import type { Handle, SshAccess } from '../provisioners/provisioner.ts';
import type { SagaEvent, SagaOutcome } from './saga-event.ts';

/** Why an order went back to the coordinator, as the wire has it. */
export type ReturnCode = (typeof RETURN_CODES)[number];

/** An order handed back: declining is not failing. */
export interface OrderReturn {
  readonly code: ReturnCode;
  readonly detail: string;
  /** True only where the agent knows that it made nothing for this contract: another one may then build. */
  readonly nothingMade: boolean;
  readonly at: number;
  /** When the coordinator took note; null while that is to be done. */
  readonly deliveredAt: number | null;
}

/** Names one order: it comes again under the same id with a higher epoch when its lease is renewed by a new one. */
export interface OrderName {
  readonly orderId: string;
  readonly epoch: number;
}

/** A verified order as it was received. */
export interface JournalOrder extends OrderName {
  readonly contractId: string;
  readonly kind: OrderKind;
  /** Until when it may be begun, in milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly receivedAt: number;
  /** The JWS, verbatim. */
  readonly compact: string;
  readonly payload: OrderPayload;
  readonly returned: OrderReturn | null;
}

/** The right to work on a contract. One a contract; a newer epoch replaces it. Times are on our clock. */
export interface Lease {
  readonly contractId: string;
  readonly orderId: string;
  readonly epoch: number;
  readonly grantedAt: number;
  readonly expiresAt: number;
  /** The coordinator said that it is not ours any more. */
  readonly lost: boolean;
}

/** A saga with all its events, oldest first. */
export interface SagaView {
  readonly sagaId: string;
  readonly contractId: string;
  readonly name: string;
  readonly version: number;
  /** The order that it was started for. */
  readonly orderId: string;
  readonly input: unknown;
  readonly createdAt: number;
  /** Null while it is open. `epoch` is the one it reported under; null where it reported nothing. */
  readonly finished: {
    readonly outcome: SagaOutcome;
    readonly at: number;
    readonly epoch: number | null;
  } | null;
  readonly events: readonly SagaEvent[];
}

/** What the journal says of a contract's instance. `destroyed` stays for ever: that contract is never built again. */
export type InstancePhase = 'running' | 'stopped' | 'destroyed';

/** A reported instance. One a contract. */
export interface JournalInstance {
  readonly contractId: string;
  readonly phase: InstancePhase;
  /** Null only for a destroyed one that never existed. */
  readonly handle: Handle | null;
  readonly ssh: SshAccess | null;
  readonly changedAt: number;
}

/** A signed record in the outbox. */
export interface JournalRecord {
  readonly agentKey: string;
  readonly seq: number;
  readonly compact: string;
  readonly contractId: string;
  readonly kind: RecordKind;
  readonly epoch: number;
  readonly at: number;
  /** When the coordinator said that it holds the record; null while it is to be delivered. */
  readonly acknowledgedAt: number | null;
  /** What the coordinator made of it: `applied`, `already_applied`, or a code. */
  readonly answer: string | null;
}

/** A release that has found what it will destroy, and was asked about before it did (I7). */
export interface AskedRelease {
  readonly sagaId: string;
  readonly contractId: string;
  /** The ids of the handles that would be destroyed: one, or more where a contract has several. Never none. */
  readonly instanceIds: readonly string[];
  /** The tombstone's reason. */
  readonly reason: string;
  readonly askedAt: number;
  /** When it was let go on; null while it waits for the operator. */
  readonly allowedAt: number | null;
}

/** What the breaker decides by. */
export interface DestructionWindow {
  /** Releases that wait for the operator. */
  readonly waiting: number;
  /** Instances that releases were let destroy since `since`, without those that the operator has seen. */
  readonly counted: number;
  /** Instances that were there at `since`, destroyed since then or not. */
  readonly held: number;
}

/** An instance at the backend that the journal cannot account for. */
export interface UnaccountedInstance {
  /** The handle's id; unique within the backend. */
  readonly id: string;
  readonly handle: Handle;
  /** `orphan`: sealed by us in this environment. `foreign`: anything else, which we never touch. */
  readonly kind: 'orphan' | 'foreign';
  /** What it claims to be for; worth something only for an orphan. */
  readonly contractId: string | null;
  /** What makes it foreign; null for an orphan. */
  readonly why: string | null;
  /** Counted anew when it was gone in between. */
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
  readonly timesSeen: number;
  /** When the operator said to destroy it: written before it is. What was destroyed so is kept. */
  readonly destroyAskedAt: number | null;
  /** Since when it is known to be gone, where the operator had it destroyed. */
  readonly goneAt: number | null;
}

/** Everything that the journal knows of one contract. */
export interface ContractView {
  readonly contractId: string;
  /** Oldest first. */
  readonly orders: readonly JournalOrder[];
  readonly lease: Lease | null;
  /** The latest 20, oldest first. At most one is open. */
  readonly sagas: readonly SagaView[];
  readonly instance: JournalInstance | null;
  /** Since when its release waits for the operator; null where it does not. */
  readonly pausedAt: number | null;
}

/** What every process may ask. */
export interface JournalReader {
  /** Random, made with the journal: another id is another journal. */
  readonly journalId: string;
  /** Null where the journal has no order for it. */
  contract(contractId: string): ContractView | null;
  saga(sagaId: string): SagaView | null;
  /** The random bytes that were made with an open saga; null where it has none, or has ended. */
  sagaSecret(sagaId: string): Uint8Array | null;
  lease(contractId: string): Lease | null;
  /** The highest epoch that was ever ordered for this contract; 0 for none. */
  newestEpoch(contractId: string): number;
  /** The order that came last, verbatim; null before the first. */
  newestOrder(): string | null;
  /** The newest order of each contract, verbatim, where it came since `since` or the contract has an instance. */
  heldOrders(since: number): string[];
  /** Whether this very lease is held, not lost, and an order under it is neither answered nor handed back. */
  isLeaseNeeded(lease: Pick<Lease, 'contractId' | 'epoch'>): boolean;
  /** `live`: contracts with an instance, an open saga or an order without an answer. `all`: every one. Oldest first. */
  contractIds(which: 'live' | 'all'): string[];
  instances(phases: readonly InstancePhase[]): JournalInstance[];
  /** Records to deliver, in the order in which they were signed. */
  undeliveredRecords(limit: number): JournalRecord[];
  /** The sequence number of the last record that this key has signed; 0 for none. */
  lastSeq(agentKey: string): number;
  /** Orders handed back that the coordinator has not heard of. */
  undeliveredReturns(limit: number): JournalOrder[];
  /** Null where the breaker was not asked about this saga yet. */
  release(sagaId: string): AskedRelease | null;
  /** Releases that wait for the operator, oldest first. */
  pausedReleases(): AskedRelease[];
  destructionWindow(since: number): DestructionWindow;
  /** What the backend was last seen to hold beyond the journal, and orphans that were destroyed. Oldest first. */
  unaccounted(): UnaccountedInstance[];
  fact(name: string): string | null;
  close(): void;
}

/** Where a record stands in its agent key's chain. */
export interface ChainPlace {
  readonly seq: number;
  readonly prev: string;
}

/** What the writing process may do, inside `write` only. */
export interface JournalWriter {
  /** False where this order is held already under this epoch; it is then left as it is. */
  saveOrder(order: Omit<JournalOrder, 'returned'>): boolean;
  /** Decides that the order goes back. The first reason stays. */
  returnOrder(order: OrderName, reason: Omit<OrderReturn, 'deliveredAt'>): void;
  /** The coordinator knows. Earlier returns of the same order that it knows of are forgotten. */
  acknowledgeReturn(order: OrderName, at: number): void;
  /** Keeps the lease; false where a newer epoch is held, or this very one is lost: only a newer one brings it back. */
  saveLease(lease: Lease): boolean;
  /** Makes a saga with its `created` event. Throws where the contract has an open one. */
  createSaga(saga: Omit<SagaView, 'finished' | 'events'>): void;
  /** Keeps random bytes for an open saga, until it ends. Never what opens anything by itself. */
  saveSagaSecret(sagaId: string, secret: Uint8Array): void;
  /** Adds events to open sagas. */
  appendEvents(events: readonly SagaEvent[]): void;
  /** Ends the saga with its `finished` event, and forgets its secret; it takes no further events. */
  finishSaga(sagaId: string, finished: NonNullable<SagaView['finished']>): void;
  saveInstance(instance: JournalInstance): void;
  /** Signs and keeps the next record of this agent key. `build` gets its place in the chain and answers the JWS. */
  appendRecord(
    record: Pick<JournalRecord, 'agentKey' | 'contractId' | 'kind' | 'epoch' | 'at'>,
    build: (place: ChainPlace) => string,
  ): JournalRecord;
  acknowledgeRecord(record: Pick<JournalRecord, 'agentKey' | 'seq'>, answer: string, at: number): void;
  /** Puts records from `fromSeq` on back into the outbox: the coordinator has lost them (RECORD_GAP). */
  reopenRecords(agentKey: string, fromSeq: number): void;
  /** Keeps what was decided about a release; once for each saga. */
  saveRelease(release: AskedRelease): void;
  /** Lets these waiting releases go on, and forgets what was counted until now. Returns how many waited. */
  confirmReleases(sagaIds: readonly string[], at: number): number;
  /**
   * Lets go of how up to `limit` contracts came to their end, where that was before `before` and everybody has been
   * told. Their tombstones, epochs, ends of sagas and instances stay, so that every order is answered as before; their
   * records stay too. Returns how many contracts there were: less than `limit` where none is left.
   */
  forgetHistory(before: number, limit: number): number;
  saveUnaccounted(instance: UnaccountedInstance): void;
  removeUnaccounted(id: string): void;
  setFact(name: string, value: string): void;
}

/** The journal as its one writer has it. Synchronous: one commit is one fsync. */
export interface Journal extends JournalReader {
  /**
   * Runs `work` in one transaction and returns its result once that is on disk. A `write` within a `write` joins
   * the outer one. Where `work` throws, nothing of it is kept. `label` names the write in crash tests and logs.
   */
  write<T>(label: string, work: (writer: JournalWriter) => T): T;
}
