import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempDirs } from '../testing/temp-dir.ts';
import { writeFileAtomically } from './write-file.ts';

const makeDir = tempDirs();

describe('writing a file at once', () => {
  it('makes or replaces it, for its owner only, and leaves nothing else', async () => {
    const dir = await makeDir();
    const file = join(dir, 'a.key');
    await writeFile(`${file}.new`, 'of a run that was cut off', { mode: 0o644 });
    for (const text of ['first', 'second']) {
      writeFileAtomically(file, text);
      expect(await readFile(file, 'utf8')).toBe(text);
    }
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['a.key']);
  });

  it('leaves the old one where the new one cannot be put in its place', async () => {
    const dir = await makeDir();
    const taken = join(dir, 'taken');
    await mkdir(taken);
    expect(() => writeFileAtomically(taken, 'text')).toThrow();
    expect((await stat(taken)).isDirectory()).toBe(true);
    expect(() => writeFileAtomically(join(dir, 'none', 'file'), 'text')).toThrow('ENOENT');
  });
});
