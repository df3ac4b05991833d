/** How much a large cluster takes. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

describe('1,000 running VMs on 5 nodes', () => {
  it('take less than 300 MB', { timeout: 60_000 }, async () => {
    const program = join(import.meta.dirname, 'testing', 'thousand-vms-program.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 55_000 });
    const { running, megabytes } = JSON.parse(stdout) as { running: number; megabytes: number };
    expect(running).toBe(1_000);
    expect(megabytes).toBeLessThan(300);
  });
});
