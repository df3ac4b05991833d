/**
 * The coordinator's keys: the one that signs now, and those that did. Which one that is follows from the
 * announcements and the time alone, so that every process of an installation signs with the same one.
 */
import { statSync } from 'node:fs';
import type { Clock } from '@dc/shared/clock';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { KeyRotation } from '@dc/shared/key-rotation/key-rotation';
import { ensureKeyFile, readKeyFile } from '../config/key-file.ts';
import type { Random } from '@dc/shared/random';
import { keyFileOf, readRotations, rotationFile } from './rotation-file.ts';

/** How late another process's announcement is seen. It takes effect later than that. */
const LOOK_EVERY_MS = 1_000;

/** The keys of one installation. */
export class CoordinatorKeys {
  readonly #keyFile: string;
  readonly #clock: Clock;
  readonly #loaded = new Map<number, SigningKey>();
  #rotations: readonly KeyRotation[];
  #seen: string;
  #lookedAt: number;

  /** Reads the keys, and makes the first one where there is none yet. Throws KEY_FILE_INVALID and KEY_FILE_UNSAFE. */
  constructor(keyFile: string, { clock, random }: { clock: Clock; random: Random }) {
    this.#keyFile = keyFile;
    this.#clock = clock;
    this.#seen = stateOf(rotationFile(keyFile));
    this.#rotations = readRotations(keyFile);
    if (this.#rotations.length === 0) this.#loaded.set(0, ensureKeyFile(keyFile, random));
    this.#lookedAt = clock.monotonic();
    this.#load(this.#currentNumber()); // What cannot be read must show at the start.
  }

  /** The key that signs now. Throws where its file cannot be read. */
  get current(): SigningKey {
    return this.#load(this.#currentNumber());
  }

  /** Every announcement, oldest first. */
  get rotations(): readonly KeyRotation[] {
    this.#look();
    return this.#rotations;
  }

  /** Whether this key is, was or is announced to be ours. */
  has(publicKey: string): boolean {
    const { rotations } = this;
    if (rotations.some(({ iss, next }) => iss === publicKey || next === publicKey)) return true;
    return rotations.length === 0 && this.current.publicKey === publicKey;
  }

  /** Whether an agent may be set up with this key: it is ours, and not replaced for good. */
  counts(publicKey: string): boolean {
    const nowS = Math.floor(this.#clock.now() / 1000);
    return this.has(publicKey) && !this.rotations.some(({ iss, ends }) => iss === publicKey && ends <= nowS);
  }

  #currentNumber(): number {
    const nowS = Math.floor(this.#clock.now() / 1000);
    return this.rotations.findLast(({ starts }) => starts <= nowS)?.number ?? 0;
  }

  #load(number: number): SigningKey {
    const known = this.#loaded.get(number) ?? readKeyFile(keyFileOf(this.#keyFile, number));
    this.#loaded.set(number, known);
    return known;
  }

  /** Another process (`admin key rotate`) may have announced one. */
  #look(): void {
    const now = this.#clock.monotonic();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    const state = stateOf(rotationFile(this.#keyFile));
    if (state === this.#seen) return;
    this.#seen = state;
    try {
      this.#rotations = readRotations(this.#keyFile);
    } catch {
      // What is known stays good: a file that was spoilt must not stop what runs. The next start refuses it.
    }
  }
}

function stateOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? '' : `${String(found.ino)} ${String(found.size)} ${String(found.mtimeMs)}`;
}
