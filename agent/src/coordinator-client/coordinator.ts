/**
 * The port to the coordinator as the running agent uses it. Setting up has a port of its own (registrar.ts).
 *
 * Every method ends by its own deadline. It throws an AppError: the coordinator's own code where it answered,
 * COORDINATOR_UNREACHABLE where it did not, RESPONSE_INVALID where the answer cannot be understood, SAGA_ABORTED
 * where the signal was aborted. Short troubles are retried inside where repeating does no harm; the loops that call
 * these methods go on for ever.
 */
import type {
  WireHeartbeat,
  WireHeartbeatAnswer,
  WireHeldEvidence,
  WireLease,
  WireRecordResult,
  WireReturnWork,
} from '@dc/shared/wire/agent';

/** How much longer a lease lasts. Counted from when we asked, on our own clock. */
export interface RenewedLease {
  readonly epoch: number;
  readonly ttlMs: number;
}

/** What became of a batch of records. */
export interface RecordsTaken {
  readonly results: readonly WireRecordResult[];
  /** The coordinator's signed receipt for the last of them. */
  readonly checkpoint: string;
}

/** What the stream says. */
export interface StreamEvent {
  /** `hello`, `work`, or a name that a later version knows. */
  readonly name: string;
  readonly data: string;
}

export interface Coordinator {
  /** Says that we are alive and learns what the coordinator knows of us. Safe to repeat. */
  heartbeat(beat: WireHeartbeat, signal: AbortSignal): Promise<WireHeartbeatAnswer>;

  /** Takes up to `max` work items, each with a fresh epoch. `held`: what it gave us before. Not repeated inside: every call may take new items. */
  leaseWork(max: number, signal: AbortSignal, held?: WireHeldEvidence): Promise<WireLease[]>;

  /** Keeps a lease. LEASE_STALE or ORDER_NOT_FOUND where it is not ours any more. Safe to repeat. */
  renewLease(orderId: string, epoch: number, signal: AbortSignal): Promise<RenewedLease>;

  /** Hands an order back. LEASE_STALE or ORDER_NOT_FOUND where there is nothing to hand back. Safe to repeat. */
  returnWork(orderId: string, body: WireReturnWork, signal: AbortSignal): Promise<void>;

  /**
   * Delivers records in order; those that are held already are a success. RECORD_GAP (`extra.expected_seq`) where
   * earlier ones are missing, RECORD_FORK where another chain is held for our key. Safe to repeat.
   */
  submitRecords(
    records: readonly string[],
    signal: AbortSignal,
    held?: WireHeldEvidence,
  ): Promise<RecordsTaken>;

  /**
   * Tells a coordinator in a safe mode the newest order of each contract, at most 500 at once; answers which of our
   * contracts it does not know. Safe to repeat.
   */
  tellOrders(orders: readonly string[], isLast: boolean, signal: AbortSignal): Promise<readonly string[]>;

  /**
   * Asks for the order that makes a new password, for the renter of a contract whose instance is here. CONTRACT_STATE
   * or CREDENTIALS_PENDING where it cannot be had now.
   */
  requestPasswordReset(contractId: string, signal: AbortSignal): Promise<void>;

  /** The announcements of the coordinator's keys, oldest first, unchecked. Safe to repeat. */
  keyRotations(signal: AbortSignal): Promise<string[]>;

  /**
   * Opens the stream and calls `onEvent` for everything on it, comments left out. Resolves when the coordinator ends
   * it; throws when it breaks or is silent for too long.
   */
  readStream(onEvent: (event: StreamEvent) => void, signal: AbortSignal): Promise<void>;

  /** What the coordinator's clock says now, as far as we know, in milliseconds since the epoch. */
  serverNow(): number;

  /** Closes the connections. What is under way fails. Idempotent. */
  close(): Promise<void>;
}
