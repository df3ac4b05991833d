import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { openFilesMax } from './open-files.ts';

describe('the limit of open files', () => {
  it('is what the system enforces for this very process', () => {
    const ask = `import(${JSON.stringify(import.meta.resolve('./open-files.ts'))}).then((it) => console.log(it.openFilesMax()))`;
    const limited = (count: number): number =>
      Number(
        execFileSync('sh', [
          '-c',
          `ulimit -n ${String(count)}; exec "$0" --eval "$1"`,
          process.execPath,
          ask,
        ]),
      );
    expect([limited(512), limited(700)]).toEqual([512, 700]);
    expect(openFilesMax()).toBeGreaterThan(0);
  });
});
