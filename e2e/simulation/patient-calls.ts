/** Calls of somebody who asks until there is an answer, always under one idempotency key. */
import { isAppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import type { Dice } from './dice.ts';
import { SignedCalls, type CallerParts } from './signed-calls.ts';
import type { World } from './world.ts';

const TRIES_MAX = 12;
const AGAIN_MS = 5_000;

export interface PatientParts extends Omit<CallerParts, 'random'> {
  readonly world: World;
  /** In the trace. */
  readonly name: string;
}

export class PatientCalls {
  readonly #parts: PatientParts;
  readonly #dice: Dice;
  readonly #calls: SignedCalls;

  constructor(parts: PatientParts, dice: Dice) {
    this.#parts = parts;
    this.#dice = dice.fork('keys');
    this.#calls = new SignedCalls({ ...parts, random: dice.fork('nonces') });
  }

  /** Null where it was refused or never answered. */
  async post<Answer>(path: string, body: object): Promise<Answer | null> {
    const idempotencyKey = toHex(this.#dice.bytes(16));
    const { world, clock, name } = this.#parts;
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      try {
        return (await this.#calls.send({ method: 'POST', path, body, idempotencyKey })) as Answer;
      } catch (error) {
        if (!isAppError(error)) throw error;
        if (!error.isRetryable) {
          world.note(name, `is refused ${path}: ${error.code}`);
          return null;
        }
        await new Promise<void>((resolve) => clock.schedule(AGAIN_MS, resolve));
      }
    }
    return null;
  }
}
