/** The coordinator over HTTP: one line for each call, the work is done by http-transport.ts and parse-answer.ts. */
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
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
import type { Coordinator, RecordsTaken, RenewedLease, StreamEvent } from './coordinator.ts';
import { HttpTransport } from './http-transport.ts';
import { parseAnswer } from './parse-answer.ts';
import { SseParser } from './sse-parser.ts';

/** The coordinator sends a comment every 15 s: three missing ones mean that the line is dead. */
const STREAM_SILENCE_MS_MAX = 45_000;

const told = (held: WireHeldEvidence | undefined): { held?: WireHeldEvidence } =>
  held === undefined ? {} : { held };

export interface HttpCoordinatorOptions {
  readonly url: string;
  readonly key: SigningKey;
  readonly clock: Clock;
  readonly random: Random;
}

export class HttpCoordinator implements Coordinator {
  readonly #transport: HttpTransport;
  readonly #clock: Clock;

  constructor(options: HttpCoordinatorOptions) {
    this.#transport = new HttpTransport(options);
    this.#clock = options.clock;
  }

  async heartbeat(beat: WireHeartbeat, signal: AbortSignal): Promise<WireHeartbeatAnswer> {
    const askedAt = this.#clock.now();
    const answer = parseAnswer(HeartbeatAnswer, await this.#post('/agents/heartbeat', beat, signal));
    this.#transport.learnTime(Date.parse(answer.server_time), askedAt, this.#clock.now());
    return answer;
  }

  async leaseWork(max: number, signal: AbortSignal, held?: WireHeldEvidence): Promise<WireLease[]> {
    const call = { method: 'POST', path: '/agents/work/lease', isRepeatable: false } as const;
    const { body } = await this.#transport.send({ ...call, body: { max, ...told(held) }, signal });
    return parseAnswer(Leases, body).leases;
  }

  async renewLease(orderId: string, epoch: number, signal: AbortSignal): Promise<RenewedLease> {
    const body = await this.#post(`/agents/work/${encodeURIComponent(orderId)}/renew`, { epoch }, signal);
    const renewed = parseAnswer(WireRenewedLease, body);
    return { epoch: renewed.epoch, ttlMs: renewed.ttl_ms };
  }

  async returnWork(orderId: string, body: WireReturnWork, signal: AbortSignal): Promise<void> {
    await this.#post(`/agents/work/${encodeURIComponent(orderId)}/return`, body, signal);
  }

  async submitRecords(
    records: readonly string[],
    signal: AbortSignal,
    held?: WireHeldEvidence,
  ): Promise<RecordsTaken> {
    const body = { records, ...told(held) };
    return parseAnswer(RecordsAnswer, await this.#post('/agents/records', body, signal));
  }

  async tellOrders(
    orders: readonly string[],
    isLast: boolean,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const answer = await this.#post('/agents/held-orders', { orders, is_last: isLast }, signal);
    return parseAnswer(HeldOrdersAnswer, answer).unknown_contracts;
  }

  async requestPasswordReset(contractId: string, signal: AbortSignal): Promise<void> {
    const path = `/contracts/${encodeURIComponent(contractId)}/reset-password`;
    // Not repeated: the operator is there to hear what happened.
    await this.#transport.send({ method: 'POST', path, body: {}, isRepeatable: false, signal });
  }

  async keyRotations(signal: AbortSignal): Promise<string[]> {
    const call = { method: 'GET', path: '/coordinator', isRepeatable: true, signal } as const;
    return parseAnswer(CoordinatorInfo, (await this.#transport.send(call)).body).key_rotations ?? [];
  }

  async readStream(onEvent: (event: StreamEvent) => void, signal: AbortSignal): Promise<void> {
    const body = await this.#transport.open('/agents/stream', {
      signal,
      silenceMsMax: STREAM_SILENCE_MS_MAX,
    });
    const parser = new SseParser(onEvent);
    const decoder = new TextDecoder();
    try {
      for await (const chunk of body) parser.push(decoder.decode(chunk as Uint8Array, { stream: true }));
    } catch (error) {
      if (error instanceof AppError) throw error;
      if (signal.aborted) throw new AppError('SAGA_ABORTED', 'The stream was closed.', { cause: error });
      throw new AppError('COORDINATOR_UNREACHABLE', 'The stream broke.', { cause: error });
    }
  }

  serverNow(): number {
    return this.#clock.now() + this.#transport.offsetMs;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #post(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    return (await this.#transport.send({ method: 'POST', path, body, isRepeatable: true, signal })).body;
  }
}
