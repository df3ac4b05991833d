/**
 * The agent's port to the coordinator over the simulated network. It repeats, mends its clock and gives up as the one
 * over HTTP does; the stream is a channel of nudges, which may be late, lost, or silently dead.
 */
import { parseAnswer } from '../../agent/src/coordinator-client/parse-answer.ts';
import type {
  Coordinator,
  RecordsTaken,
  RenewedLease,
  StreamEvent,
} from '../../agent/src/coordinator-client/coordinator.ts';
import { backoffMs } from '../../agent/src/lib/backoff.ts';
import { sleep } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import {
  HeartbeatAnswer,
  HeldOrdersAnswer,
  Leases,
  RecordsAnswer,
  RenewedLease as WireRenewedLease,
  type WireHeartbeat,
  type WireHeartbeatAnswer,
  type WireHeldEvidence,
  type WireLease,
  type WireReturnWork,
} from '@dc/shared/wire/agent';
import { CoordinatorInfo } from '@dc/shared/wire/coordinator';
import { SignedCalls, type CallerParts } from './signed-calls.ts';

const TRIES_MAX = 3;
const RETRY = { baseMs: 200, capMs: 2_000 };
const SILENCE_MS_MAX = 45_000;

/** Told of every lease that an answer gave: the simulation holds the agent to it. */
export type OnLease = (lease: {
  readonly orderId: string;
  /** Null where the answer does not say. */
  readonly contractId: string | null;
  readonly askedAtMs: number;
  readonly ttlMs: number;
}) => void;

export class SimulatedWire implements Coordinator {
  readonly #parts: CallerParts & { readonly poolId: string; readonly onLease: OnLease };
  readonly #calls: SignedCalls;

  constructor(parts: CallerParts & { readonly poolId: string; readonly onLease: OnLease }) {
    this.#parts = parts;
    this.#calls = new SignedCalls(parts);
  }

  async heartbeat(beat: WireHeartbeat, signal: AbortSignal): Promise<WireHeartbeatAnswer> {
    const answer = parseAnswer(HeartbeatAnswer, await this.#repeat('/agents/heartbeat', beat, signal));
    this.#calls.learnTime(answer.server_time);
    return answer;
  }

  async leaseWork(max: number, signal: AbortSignal, held?: WireHeldEvidence): Promise<WireLease[]> {
    const askedAtMs = this.#parts.clock.monotonic();
    const answer = await this.#calls.send({
      method: 'POST',
      path: '/agents/work/lease',
      body: { max, ...(held === undefined ? {} : { held }) },
      signal,
    });
    const { leases } = parseAnswer(Leases, answer);
    for (const lease of leases) {
      const { order_id: orderId, contract_id: contractId, ttl_ms: ttlMs } = lease;
      this.#parts.onLease({ orderId, contractId, askedAtMs, ttlMs });
    }
    return leases;
  }

  async renewLease(orderId: string, epoch: number, signal: AbortSignal): Promise<RenewedLease> {
    const askedAtMs = this.#parts.clock.monotonic();
    const body = await this.#repeat(`/agents/work/${orderId}/renew`, { epoch }, signal);
    const renewed = parseAnswer(WireRenewedLease, body);
    this.#parts.onLease({ orderId, contractId: null, askedAtMs, ttlMs: renewed.ttl_ms });
    return { epoch: renewed.epoch, ttlMs: renewed.ttl_ms };
  }

  async returnWork(orderId: string, body: WireReturnWork, signal: AbortSignal): Promise<void> {
    await this.#repeat(`/agents/work/${orderId}/return`, body, signal);
  }

  async submitRecords(
    records: readonly string[],
    signal: AbortSignal,
    held?: WireHeldEvidence,
  ): Promise<RecordsTaken> {
    const body = { records, ...(held === undefined ? {} : { held }) };
    return parseAnswer(RecordsAnswer, await this.#repeat('/agents/records', body, signal));
  }

  async tellOrders(
    orders: readonly string[],
    isLast: boolean,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const answer = await this.#repeat('/agents/held-orders', { orders, is_last: isLast }, signal);
    return parseAnswer(HeldOrdersAnswer, answer).unknown_contracts;
  }

  async requestPasswordReset(contractId: string, signal: AbortSignal): Promise<void> {
    await this.#calls.send({
      method: 'POST',
      path: `/contracts/${contractId}/reset-password`,
      body: {},
      signal,
    });
  }

  async keyRotations(signal: AbortSignal): Promise<string[]> {
    const answer = await this.#calls.send({ method: 'GET', path: '/coordinator', signal });
    return parseAnswer(CoordinatorInfo, answer).key_rotations ?? [];
  }

  async readStream(onEvent: (event: StreamEvent) => void, signal: AbortSignal): Promise<void> {
    const { link, network, coordinator, clock, poolId } = this.#parts;
    const broken = Promise.withResolvers<never>();
    let isOver = false;
    const breakOff = (): void => broken.reject(new AppError('COORDINATOR_UNREACHABLE', 'The stream broke.'));
    const stop = (): void => broken.reject(new AppError('SAGA_ABORTED'));
    // Nobody says that a line is dead: silence does.
    const onCut = (): void => void clock.schedule(SILENCE_MS_MAX, breakOff);
    const tell = (name: string) => (): void => {
      const delayMs = network.oneWay(link);
      if (delayMs === null) return;
      clock.schedule(delayMs, () => {
        try {
          if (!isOver) onEvent({ name, data: '' });
        } catch (error) {
          broken.reject(error); // What a reader throws ends its stream.
        }
      });
    };
    if (signal.aborted) stop();
    if (link.isCut) onCut();
    signal.addEventListener('abort', stop, { once: true });
    link.onCut.add(onCut);
    const close = coordinator.listen(poolId, tell('work'), breakOff);
    tell('hello')();
    try {
      await broken.promise;
    } finally {
      isOver = true;
      close();
      link.onCut.delete(onCut);
      signal.removeEventListener('abort', stop);
    }
  }

  serverNow(): number {
    return this.#parts.clock.now() + this.#calls.offsetMs;
  }

  async close(): Promise<void> {
    // There is no connection to close.
  }

  async #repeat(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    const { clock, random } = this.#parts;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#calls.send({ method: 'POST', path, body, signal });
      } catch (error) {
        if (tries >= TRIES_MAX || !isAppError(error) || !error.isRetryable) throw error;
        await sleep(clock, backoffMs(tries, RETRY, random, error), signal).catch(() => {
          throw new AppError('SAGA_ABORTED');
        });
      }
    }
  }
}
