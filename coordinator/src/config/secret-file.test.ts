import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { addSecret, readSecretFile } from './secret-file.ts';

let file: string;
beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'dc-secret-file-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  file = join(folder, 'stripe.key');
});

const write = (text: string, mode = 0o600): void => {
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
};

describe('a file of secrets', () => {
  it('holds one or more, one a line, with comments', () => {
    write('# the new one\nwhsec_2\n\n  whsec_1  \n');
    expect(readSecretFile(file, 'a secret')).toEqual(['whsec_2', 'whsec_1']);
  });

  it.each([0o640, 0o604, 0o660, 0o666])('of mode %o is refused: others can read it', (mode) => {
    write('sk_live_secret', mode);
    const read = () => readSecretFile(file, 'a secret');
    expect(read).toThrow(expect.objectContaining({ code: 'KEY_FILE_UNSAFE' }));
    expect(read).not.toThrow(/sk_live_secret/);
  });

  it.each([
    ['nothing', ''],
    ['comments only', '# none yet\n'],
    ['words', 'this is no secret'],
  ])('that holds %s is refused, and nothing of it is shown', (_name, text) => {
    write(text);
    const read = () => readSecretFile(file, 'a secret');
    expect(read).toThrow(expect.objectContaining({ code: 'KEY_FILE_INVALID' }));
    if (text !== '') expect(read).not.toThrow(new RegExp(text.trim()));
  });

  it('that is missing, or a folder, says what to do', () => {
    expect(() => readSecretFile(file, 'a secret')).toThrow(/is missing/);
    expect(() => readSecretFile(join(file, '..'), 'a secret')).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^KEY_FILE/) as string }),
    );
  });

  it('gets a new secret in front, keeps one old one, and stays closed to others', () => {
    write('old\nolder\n');
    addSecret(file, 'new', readSecretFile(file, 'a secret'));
    expect(readFileSync(file, 'utf8')).toBe('new\nold\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});
