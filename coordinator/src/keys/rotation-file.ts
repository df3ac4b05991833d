/**
 * The announcements of the coordinator's keys, in a file beside the keys and not in the database: whoever has only
 * the database can neither make one, nor take one back by restoring an old one. One a line, oldest first. The key of
 * announcement `n` is in `<key file>.<n>`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';
import { ROTATION_START, verifyKeyRotation, type KeyRotation } from '@dc/shared/key-rotation/key-rotation';
import { writeWhole } from './write-whole.ts';

export const rotationFile = (keyFile: string): string => `${keyFile}.rotations`;

/** The file of the key that announcement `number` brought; 0 is the first key of all. */
export const keyFileOf = (keyFile: string, number: number): string =>
  number === 0 ? keyFile : `${keyFile}.${String(number)}`;

/** Reads the announcements; none where there is no file. Throws KEY_FILE_INVALID unless they are a whole chain. */
export function readRotations(keyFile: string): KeyRotation[] {
  const file = rotationFile(keyFile);
  if (!existsSync(file)) return [];
  const chain: KeyRotation[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue;
    const rotation = verifyKeyRotation(line);
    const last = chain.at(-1);
    const isNext =
      rotation !== null &&
      rotation.number === chain.length + 1 &&
      rotation.prev === (last?.hash ?? ROTATION_START) &&
      (last === undefined || rotation.iss === last.next);
    if (!isNext)
      throw new AppError('KEY_FILE_INVALID', `Line ${String(chain.length + 1)} of ${file} does not fit.`, {
        remedy: 'Restore it, together with the key files, from the newest backup of them.',
      });
    chain.push(rotation);
  }
  return chain;
}

/** Adds an announcement, which must follow from those that are there. Whole on the disk when it returns. */
export function appendRotation(keyFile: string, known: readonly KeyRotation[], compact: string): void {
  const lines = [...known.map((rotation) => rotation.compact), compact];
  writeWhole(rotationFile(keyFile), `${lines.join('\n')}\n`);
}
