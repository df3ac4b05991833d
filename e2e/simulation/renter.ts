/**
 * A renter: rents, pays sooner or later or never, and perhaps wants more time, a new password or another key, or
 * cancels, at whatever moment.
 */
import { createHash } from 'node:crypto';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireContract } from '@dc/shared/wire/contract';
import { keyOfContract, keyOfExtension } from '../../coordinator/src/payments/payment-asks.ts';
import type { Dice } from './dice.ts';
import { PatientCalls, type PatientParts } from './patient-calls.ts';
import type { PaymentHouse } from './payment-house.ts';

/** Where a renter can rent. */
export interface Shop {
  readonly offeringId: string;
}

export interface RenterParts extends PatientParts {
  readonly house: PaymentHouse;
  readonly shops: readonly Shop[];
}

/** The key of this name: the same one in every simulation. */
export const keyOf = (name: string): SigningKey =>
  SigningKey.fromSeed(createHash('sha256').update(`simulation ${name}`).digest());

export class Renter {
  readonly #parts: RenterParts;
  readonly #dice: Dice;
  readonly #calls: PatientCalls;

  constructor(parts: RenterParts) {
    this.#parts = parts;
    this.#dice = parts.world.dice.fork(parts.name);
    this.#calls = new PatientCalls(parts, this.#dice);
  }

  get name(): string {
    return this.#parts.name;
  }

  /** Rents something now and pays for it at once. Null where that was refused. */
  async take(hours: number): Promise<WireContract | null> {
    const contract = await this.#order(hours);
    if (contract === null) return null;
    this.#parts.house.pay(keyOfContract(contract.id));
    return contract;
  }

  /** Rents something now, or a little later where nothing is to be had, and does with it what chance says. */
  async rent(onRented: (contractId: string) => void): Promise<void> {
    const dice = this.#dice;
    const { world } = this.#parts;
    const contract = await this.#order(dice.whole(1, 3));
    if (contract === null) {
      if (world.isFaulty) world.time.schedule(dice.between(5_000, 30_000), () => void this.rent(onRented));
      return;
    }
    const { id } = contract;
    onRented(id);
    this.#planPayment(keyOfContract(id));
    this.#perhaps(0.2, () => this.#extend(id));
    this.#perhaps(0.15, () => this.#ask(id, 'reset-password', {}));
    this.#perhaps(0.1, () =>
      this.#ask(id, 'rotate-ssh-key', { ssh_public_key: sshKeyOf(`${this.name} ${id}`) }),
    );
    if (!dice.chance(0.5)) return;
    const atMs = dice.chance(0.5) ? dice.between(0, 20_000) : dice.between(0, 200_000);
    world.time.schedule(atMs, () => void this.#ask(id, 'cancel', {}));
  }

  async #order(hours: number): Promise<WireContract | null> {
    const { world, house, shops } = this.#parts;
    const contract = await this.#calls.post<WireContract>('/contracts', {
      offering_id: this.#dice.pick(shops).offeringId,
      duration_hours: hours,
      ssh_public_key: sshKeyOf(this.name),
      payment_method: house.method,
    });
    if (contract !== null) world.note(this.name, `rented ${contract.id}`);
    return contract;
  }

  /** With this probability, some time after it was rented. */
  #perhaps(probability: number, act: () => Promise<unknown>): void {
    if (!this.#dice.chance(probability)) return;
    this.#parts.world.time.schedule(this.#dice.between(5_000, 150_000), () => void act());
  }

  #planPayment(key: string): void {
    const { world, house } = this.#parts;
    const dice = this.#dice;
    const comesAs = dice.fraction();
    if (comesAs < 0.04) return; // Never pays.
    if (comesAs < 0.08) world.time.schedule(dice.between(0, 30_000), () => house.fail(key));
    // Late ones come when the contract has ended already.
    const delayMs = comesAs < 0.8 ? dice.between(50, 3_000) : dice.between(3_000, 160_000);
    if (comesAs < 0.06) return;
    world.time.schedule(delayMs, () => house.pay(key));
  }

  async #extend(contractId: string): Promise<void> {
    const answer = await this.#ask(contractId, 'extend', { hours: this.#dice.whole(1, 2) });
    const extension = answer?.extensions?.findLast(({ status }) => status === 'pending');
    if (extension !== undefined) this.#planPayment(keyOfExtension(extension.id));
  }

  #ask(contractId: string, what: string, body: object): Promise<WireContract | null> {
    this.#parts.world.note(this.name, `asks to ${what} ${contractId}`);
    return this.#calls.post(`/contracts/${contractId}/${what}`, body);
  }
}

/** An `ssh-ed25519` line that nobody has the private half of. */
function sshKeyOf(name: string): string {
  const point = createHash('sha256').update(`ssh key ${name}`).digest();
  const length = (bytes: number): Buffer => Buffer.from([0, 0, 0, bytes]);
  const type = Buffer.from('ssh-ed25519');
  return `ssh-ed25519 ${Buffer.concat([length(type.length), type, length(32), point]).toString('base64')}`;
}
