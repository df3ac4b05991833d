import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../lib/system-random.ts';
import { ensureKeyFile, readKeyFile } from './key-file.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dc-key-test-'));
  file = join(folder, 'coordinator.key');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function refusal(act: () => unknown): AppError {
  try {
    act();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('the key file', () => {
  it('is made once, for its owner alone, and stays the same', () => {
    const made = ensureKeyFile(file, systemRandom);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    expect(ensureKeyFile(file, systemRandom).publicKey).toBe(made.publicKey);
    expect(readdirSync(folder)).toEqual(['coordinator.key']);
  });

  it('is never written over by somebody who comes second', () => {
    const first = ensureKeyFile(file, systemRandom);
    // As if the file had appeared between looking and making.
    const other = { bytes: (count: number) => new Uint8Array(count).fill(7) };
    rmSync(file);
    const theirs = ensureKeyFile(file, other);
    expect(ensureKeyFile(file, systemRandom).publicKey).toBe(theirs.publicKey);
    expect(theirs.publicKey).not.toBe(first.publicKey);
  });

  it.each([0o640, 0o604, 0o644, 0o660])('is refused with mode %o, with the line that mends it', (mode) => {
    ensureKeyFile(file, systemRandom);
    chmodSync(file, mode);
    const error = refusal(() => readKeyFile(file));
    expect(error.code).toBe('KEY_FILE_UNSAFE');
    expect(error.remedy).toContain(`chmod 600 '${file}'`);
  });

  it('is refused in a folder in which others can put another one', () => {
    ensureKeyFile(file, systemRandom);
    chmodSync(folder, 0o777);
    expect(refusal(() => readKeyFile(file))).toMatchObject({
      code: 'KEY_FILE_UNSAFE',
      remedy: `Run: chmod go-w '${folder}'`,
    });
  });

  it.each(['', 'ab'.repeat(31), 'zz'.repeat(32)])(
    'that holds no key is refused without showing it: %j',
    (text) => {
      writeFileSync(file, text, { mode: 0o600 });
      const error = refusal(() => readKeyFile(file));
      expect(error.code).toBe('KEY_FILE_INVALID');
      expect(error.cause).toBeUndefined();
      if (text !== '') expect(error.message).not.toContain(text);
    },
  );

  it('that is missing, or no file, is refused', () => {
    expect(refusal(() => readKeyFile(file)).message).toContain('is missing');
    expect(refusal(() => readKeyFile(folder)).code).toBe('KEY_FILE_INVALID');
    expect(refusal(() => ensureKeyFile(join(folder, 'nowhere', 'x.key'), systemRandom)).code).toBe(
      'KEY_FILE_INVALID',
    );
  });
});
