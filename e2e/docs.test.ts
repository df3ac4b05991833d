/** The generated pages are fresh, and every error code is one that the programs really use. */
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '@dc/shared/errors';

const ROOT = path.dirname(import.meta.dirname);

describe('docs/', () => {
  it('has fresh pages; else run what it says', () => {
    const output = execFileSync(process.execPath, ['scripts/generate-docs.ts', '--check'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(output).toBe('Every page is fresh.\n');
  });
});

describe('the table of error codes', () => {
  it('holds no code that nothing raises', () => {
    const files = globSync('{agent,coordinator,shared}/src/**/*.ts', { cwd: ROOT }).filter(
      (file) => !/\.test\.ts$|\/testing\/|shared\/src\/errors\.ts$/.test(file),
    );
    const source = files.map((file) => readFileSync(path.join(ROOT, file), 'utf8')).join('\n');
    const dead = Object.keys(ERRORS).filter((code) => !source.includes(`'${code}'`));
    expect(dead).toEqual([]);
  });
});
