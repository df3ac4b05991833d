/** All chance of a simulation: numbers and bytes that follow from the seed, one independent source for each name. */
import { createHash } from 'node:crypto';
import type { Random } from '@dc/shared/random';

/** A source of chance. The same name gives the same sequence, whatever other sources were asked. */
export class Dice implements Random {
  readonly #name: string;
  #state: number;

  constructor(name: string) {
    this.#name = name;
    this.#state = createHash('sha256').update(name).digest().readUInt32LE(0);
  }

  /** An independent source below this one. */
  fork(name: string): Dice {
    return new Dice(`${this.#name}/${name}`);
  }

  /** A number in [0, 1). Mulberry32: small, quick and good enough to choose faults. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A number from `low` to just below `high`. */
  between(low: number, high: number): number {
    return low + (high - low) * this.fraction();
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  pick<T>(from: readonly T[]): T {
    const chosen = from[this.whole(0, from.length - 1)];
    if (chosen === undefined) throw new Error('there is nothing to pick from');
    return chosen;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index += 1) bytes[index] = Math.floor(this.fraction() * 256);
    return bytes;
  }
}
