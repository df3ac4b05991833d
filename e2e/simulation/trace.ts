/**
 * What happened in a simulation, line by line, with short names for long ids; and a hash over all lines, by which two
 * runs of one seed are compared.
 */
import { createHash, type Hash } from 'node:crypto';

/** A contract's id. */
export const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
const EACH_UUID = new RegExp(UUID, 'g');

/** Collects lines. */
export class Trace {
  readonly lines: string[] = [];
  readonly #hash: Hash = createHash('sha256');
  readonly #names = new Map<string, string>();
  #count = 0;

  /** Adds what `who` did or met at `atMs`. */
  add(atMs: number, who: string, what: string): void {
    const line = `${(atMs / 1000).toFixed(3).padStart(9)}  ${who.padEnd(11)} ${this.shorten(what)}`;
    this.lines.push(line);
    this.#hash.update(line);
  }

  /** The text with contracts called c1, c2 and so on, in the order in which they appeared. */
  shorten(text: string): string {
    return text.replace(EACH_UUID, (id) => this.#names.get(id) ?? this.#name(id));
  }

  /** The hash over all lines so far. Ends the trace. */
  end(): string {
    return this.#hash.digest('hex');
  }

  #name(id: string): string {
    const name = `c${String((this.#count += 1))}`;
    this.#names.set(id, name);
    return name;
  }
}
