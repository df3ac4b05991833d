/** The disks of a simulated machine: folders with a journal, their backups, and the other disk that it once had. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { journalFile } from '../../agent/src/config/paths.ts';
import type { Dice } from './dice.ts';

/** The disks of one machine. */
export class Disks {
  readonly #folder: string;
  readonly #dice: Dice;
  /** Oldest first. */
  readonly #backups: string[] = [];
  #folders = 0;
  /** The one that is in the machine. */
  current: string;
  /** Another one that it has had. */
  spare: string | null = null;

  /** `folder` begins the names of the folders that are made. */
  constructor(folder: string, dice: Dice) {
    this.#folder = folder;
    this.#dice = dice;
    this.current = this.#make();
  }

  /** How many there have been. */
  get count(): number {
    return this.#folders;
  }

  /** A new one with what is in the journal's files at `from` now, as kill -9 leaves them. */
  copy(from: string): string {
    const folder = this.#make();
    for (const end of ['', '-wal']) {
      const file = journalFile(from) + end;
      if (existsSync(file)) copyFileSync(file, journalFile(folder) + end);
    }
    return folder;
  }

  backUp(from: string): void {
    this.#backups.push(this.copy(from));
  }

  /** Puts a backup into the machine, and keeps what was in it as the spare. False where there is none. */
  putOld(): boolean {
    if (this.#backups.length === 0) return false;
    this.spare = this.current;
    this.current = this.copy(this.#dice.pick(this.#backups));
    return true;
  }

  /** False where there is no other one. */
  swap(): boolean {
    if (this.spare === null) return false;
    [this.current, this.spare] = [this.spare, this.current];
    return true;
  }

  #make(): string {
    const folder = `${this.#folder}-${String((this.#folders += 1))}`;
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }
}

/** Where the disks of this machine are made. */
export const disksOf = (worldFolder: string, name: string): string => join(worldFolder, name);
