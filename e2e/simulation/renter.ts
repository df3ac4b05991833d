/** A renter: rents, pays sooner or later or never, and perhaps cancels, at whatever moment. */
import { createHash } from 'node:crypto';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { isAppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import type { WireContract } from '@dc/shared/wire/contract';
import type { Dice } from './dice.ts';
import type { PaymentHouse } from './payment-house.ts';
import { SignedCalls, type CallerParts } from './signed-calls.ts';
import type { World } from './world.ts';

const TRIES_MAX = 12;
const AGAIN_MS = 5_000;

/** Where a renter can rent. */
export interface Shop {
  readonly offeringId: string;
}

export interface RenterParts extends Omit<CallerParts, 'key' | 'random'> {
  readonly world: World;
  readonly house: PaymentHouse;
  readonly shops: readonly Shop[];
}

/** The key of this name: the same one in every simulation. */
export const keyOf = (name: string): SigningKey =>
  SigningKey.fromSeed(createHash('sha256').update(`simulation ${name}`).digest());

export class Renter {
  readonly name: string;
  readonly #parts: RenterParts;
  readonly #dice: Dice;
  readonly #calls: SignedCalls;

  constructor(name: string, key: SigningKey, parts: RenterParts) {
    this.name = name;
    this.#parts = parts;
    this.#dice = parts.world.dice.fork(name);
    this.#calls = new SignedCalls({ ...parts, key, random: this.#dice.fork('nonces') });
  }

  /** Rents something now, and does with it what chance says. */
  async rent(onRented: (contractId: string) => void): Promise<void> {
    const dice = this.#dice;
    const { world, house, shops } = this.#parts;
    const body = {
      offering_id: dice.pick(shops).offeringId,
      duration_hours: dice.whole(1, 3),
      ssh_public_key: sshKeyOf(this.name),
      payment_method: house.method,
    };
    const contract = await this.#post<WireContract>('/contracts', body);
    if (contract === null) return;
    world.note(this.name, `rented ${contract.id}`);
    onRented(contract.id);
    this.#planPayment(contract);
    if (dice.chance(0.6)) {
      const atMs = dice.chance(0.5) ? dice.between(0, 20_000) : dice.between(0, 200_000);
      world.time.schedule(atMs, () => void this.#cancel(contract.id));
    }
  }

  #planPayment({ id, total }: WireContract): void {
    const { world, house } = this.#parts;
    const amount = { amountE9s: BigInt(total.amount_e9s), currency: total.currency };
    const dice = this.#dice;
    const comesAs = dice.fraction();
    if (comesAs < 0.04) return; // Never pays.
    if (comesAs < 0.08) world.time.schedule(dice.between(0, 30_000), () => house.fail(id, amount));
    // Late ones come when the contract has ended already.
    const delayMs = comesAs < 0.8 ? dice.between(50, 3_000) : dice.between(3_000, 160_000);
    if (comesAs < 0.06) return;
    world.time.schedule(delayMs, () => house.pay(id, amount));
  }

  async #cancel(contractId: string): Promise<void> {
    this.#parts.world.note(this.name, `cancels ${contractId}`);
    await this.#post(`/contracts/${contractId}/cancel`, {});
  }

  /** Asks until there is an answer, always under one key. Null where it was refused or never answered. */
  async #post<Answer>(path: string, body: object): Promise<Answer | null> {
    const idempotencyKey = toHex(this.#dice.bytes(16));
    const { world, clock } = this.#parts;
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      try {
        return (await this.#calls.send({ method: 'POST', path, body, idempotencyKey })) as Answer;
      } catch (error) {
        if (!isAppError(error)) throw error;
        if (!error.isRetryable) {
          world.note(this.name, `is refused ${path}: ${error.code}`);
          return null;
        }
        await new Promise<void>((resolve) => clock.schedule(AGAIN_MS, resolve));
      }
    }
    return null;
  }
}

/** An `ssh-ed25519` line that nobody has the private half of. */
function sshKeyOf(name: string): string {
  const point = createHash('sha256').update(`ssh key ${name}`).digest();
  const length = (bytes: number): Buffer => Buffer.from([0, 0, 0, bytes]);
  const type = Buffer.from('ssh-ed25519');
  return `ssh-ed25519 ${Buffer.concat([length(type.length), type, length(32), point]).toString('base64')}`;
}
