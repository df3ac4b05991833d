/**
 * The coordinator's own key, a 32-byte seed in hex: it signs orders and checkpoints, and agents pin it. Losing it
 * means setting every agent up again; whoever else reads it can give them orders.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import type { Random } from '@dc/shared/random';

const OPEN_TO_OTHERS = 0o077;
const WRITABLE_BY_OTHERS = 0o022;

/** Reads the key. Throws KEY_FILE_INVALID and KEY_FILE_UNSAFE, with nothing of what is in the file. */
export function readKeyFile(file: string): SigningKey {
  const descriptor = openKeyFile(file);
  try {
    if (!fstatSync(descriptor).isFile()) throw new AppError('KEY_FILE_INVALID', `${file} is not a file.`);
    if ((fstatSync(descriptor).mode & OPEN_TO_OTHERS) !== 0)
      throw new AppError('KEY_FILE_UNSAFE', `The key file ${file} is open to other users.`, {
        remedy: `Run: chmod 600 '${file}'. If others may have read it, make a new key and set the agents up again.`,
      });
    const folder = dirname(file);
    if ((statSync(folder).mode & WRITABLE_BY_OTHERS) !== 0)
      throw new AppError('KEY_FILE_UNSAFE', `Other users can put another key into ${folder}.`, {
        remedy: `Run: chmod go-w '${folder}'`,
      });
    return SigningKey.fromSeed(seedFromHex(readFileSync(descriptor, 'latin1')));
  } catch (error) {
    if (error instanceof AppError) throw error;
    // The parser's own words could hold a part of the file: they are left out.
    throw new AppError('KEY_FILE_INVALID', `The key file ${file} does not hold 32 bytes in hex.`);
  } finally {
    closeSync(descriptor);
  }
}

/** Reads the key, or makes one where there is none. Two processes that start together get the same. */
export function ensureKeyFile(file: string, random: Random): SigningKey {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) makeKeyFile(file, random);
  return readKeyFile(file);
}

function openKeyFile(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    const why = code === 'ENOENT' ? 'is missing' : `cannot be opened (${code})`;
    throw new AppError('KEY_FILE_INVALID', `The key file ${file} ${why}.`, { cause: error });
  }
}

/** A crash leaves either no key file or a whole one, on the disk: it gets its name when it is complete. */
function makeKeyFile(file: string, random: Random): void {
  const draft = `${file}.${toHex(random.bytes(6))}`;
  try {
    const descriptor = openSync(draft, 'wx', 0o600);
    try {
      writeSync(descriptor, `${toHex(random.bytes(32))}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(draft, file);
    const folder = openSync(dirname(file), 'r');
    fsyncSync(folder);
    closeSync(folder);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    // Somebody else was faster: then that is the key.
    if (code === 'EEXIST') return;
    throw new AppError('KEY_FILE_INVALID', `The key file ${file} cannot be made (${code}).`, {
      remedy: 'Make its folder, owned by the user that runs the coordinator.',
      cause: error,
    });
  } finally {
    rmSync(draft, { force: true });
  }
}
