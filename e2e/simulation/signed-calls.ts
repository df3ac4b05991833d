/** How a node asks the coordinator: signed for real, over the simulated network, with a deadline of its own. */
import { refusalError, parseRetryAfter } from '../../agent/src/coordinator-client/parse-answer.ts';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError, isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { signRequest } from '@dc/shared/signing/sign-request';
import type { CoordinatorNode } from './coordinator-node.ts';
import type { Link, Network } from './network.ts';
import type { NodeClock } from './virtual-time.ts';

const DEADLINE_MS = 30_000;
/** How every node addresses the coordinator. Not loopback: the coordinator then leaves the look at SSH to the agent. */
export const PUBLIC_URL = 'https://coordinator.example';

/** One call. */
export interface SignedCall {
  readonly method: 'GET' | 'POST';
  /** Below /api/v1. */
  readonly path: string;
  readonly body?: object;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export interface CallerParts {
  readonly key: SigningKey;
  readonly clock: NodeClock;
  readonly random: Random;
  readonly link: Link;
  readonly network: Network;
  readonly coordinator: CoordinatorNode;
}

/** Sends the calls of one process. */
export class SignedCalls {
  readonly #parts: CallerParts;
  /** How far the coordinator's clock is ahead of ours, as far as we know. */
  offsetMs = 0;

  constructor(parts: CallerParts) {
    this.#parts = parts;
  }

  /** Sends it, and once more where our clock was the trouble. Throws what the coordinator refused, COORDINATOR_UNREACHABLE, or SAGA_ABORTED. */
  async send(call: SignedCall): Promise<unknown> {
    try {
      return await this.#sendOnce(call);
    } catch (error) {
      if (!isAppError(error, 'SIGNATURE_SKEW')) throw error;
      this.learnTime(String(error.extra['server_time']));
      return this.#sendOnce(call);
    }
  }

  learnTime(serverTime: string): void {
    this.offsetMs = Date.parse(serverTime) - this.#parts.clock.now();
  }

  async #sendOnce(call: SignedCall): Promise<unknown> {
    const { clock, network, link, coordinator } = this.#parts;
    const request = this.#sign(call);
    const end = Promise.withResolvers<never>();
    const stop = (): void => end.reject(new AppError('SAGA_ABORTED'));
    if (call.signal?.aborted === true) stop();
    call.signal?.addEventListener('abort', stop, { once: true });
    const cancel = clock.schedule(DEADLINE_MS, () => end.reject(new AppError('COORDINATOR_UNREACHABLE')));
    try {
      const carried = network.carry(link, call.path, () => coordinator.answer(request));
      const { status, text, retryAfter } = await Promise.race([carried, end.promise]);
      const body: unknown = text === '' ? null : JSON.parse(text);
      if (status < 300) return body;
      throw refusalError({ status, body, retryAfterMs: parseRetryAfter(retryAfter, clock.now()) });
    } finally {
      cancel();
      call.signal?.removeEventListener('abort', stop);
    }
  }

  #sign({ method, path, body, idempotencyKey }: SignedCall): SimulatedRequest {
    const { key, clock, random } = this.#parts;
    const url = new URL(`${PUBLIC_URL}/api/v1${path}`);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const bytes = payload === undefined ? undefined : Buffer.from(payload);
    const signer = { key, clock, random, offsetMs: this.offsetMs };
    const headers: Record<string, string> = {
      host: url.host,
      ...signRequest({ method, url, body: bytes }, signer),
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    };
    return { method, url: url.pathname + url.search, headers, ...(payload === undefined ? {} : { payload }) };
  }
}

/** A request on its way: the same bytes, however often it arrives. */
export interface SimulatedRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly payload?: string;
}
