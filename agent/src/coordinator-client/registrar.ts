/** The calls of set-up: what a machine without a registered agent may ask. Also how `doctor` asks who we are. */
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { Random } from '@dc/shared/random';
import { Registration, type WireRegistration } from '@dc/shared/wire/agent';
import { Grant } from '@dc/shared/wire/offering';
import { HttpTransport } from './http-transport.ts';
import { parseAnswer } from './parse-answer.ts';

/** A grant as the coordinator keeps it. */
export interface FetchedGrant {
  readonly compact: string;
  readonly isUsed: boolean;
  /** The coordinator's clock minus ours, in milliseconds; exact to a second. Null where it did not say. */
  readonly skewMs: number | null;
}

export interface RegistrarOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Throws what `Coordinator` throws. Close it when done. */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #transports: HttpTransport[] = [];

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** The grant of a setup token. GRANT_NOT_FOUND where this coordinator has none. */
  async fetchGrant(setupKey: string, signal: AbortSignal): Promise<FetchedGrant> {
    const { clock } = this.#options;
    const call = { method: 'GET', path: `/setup-grants/${setupKey}`, isRepeatable: true, signal } as const;
    const { body, date } = await this.#transport(null).send(call);
    const answer = parseAnswer(Grant, body);
    return { compact: answer.grant, isUsed: answer.used, skewMs: date === null ? null : date - clock.now() };
  }

  /**
   * Registers the agent key, which signs the request. The same delegation again answers the same. `skewMs` is the
   * clock's error that the signature had, as far as the coordinator said.
   */
  async register(
    key: SigningKey,
    body: { delegation: string; label?: string },
    signal: AbortSignal,
  ): Promise<{ registration: WireRegistration; skewMs: number | null }> {
    const { clock } = this.#options;
    const call = { method: 'POST', path: '/agents/register', body, isRepeatable: true, signal } as const;
    const answer = await this.#transport(key).send(call);
    const skewMs = answer.date === null ? null : answer.date - clock.now();
    return { registration: parseAnswer(Registration, answer.body), skewMs };
  }

  async close(): Promise<void> {
    for (const transport of this.#transports) await transport.close();
  }

  #transport(key: SigningKey | null): HttpTransport {
    const transport = new HttpTransport({ ...this.#options, key });
    this.#transports.push(transport);
    return transport;
  }
}
