/** The process itself: what only a real one shows. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Starts the program; `onLine` hears its first line. */
function launch(
  args: string[],
  onLine: (child: ReturnType<typeof spawn>) => void = () => undefined,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let out = '';
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.stdout.on('data', (chunk: Buffer) => {
      const isFirst = !out.includes('\n');
      out += chunk.toString();
      if (isFirst && out.includes('\n')) onLine(child);
    });
    child.on('error', reject).on('close', (code) => resolve({ code, out, err }));
  });
}

function writeConfig(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dc-main-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'c.toml');
  writeFileSync(
    file,
    'environment = "test"\npublic_url = "http://127.0.0.1:8787"\ndata_dir = "data"\n[metrics]\nport = 0\n',
  );
  return file;
}

describe('dc-coordinator', { timeout: 20_000 }, () => {
  it('says when it is ready, and ends with 143 after SIGTERM', async () => {
    const { code, out, err } = await launch(['serve', '--config', writeConfig(), '--port', '0'], (child) =>
      child.kill('SIGTERM'),
    );
    expect(out).toContain('is ready on http://127.0.0.1:');
    expect(err).toContain('"stopping"');
    expect(code).toBe(143);
  });

  it('ends with 2 and one plain text for a wrong command line', async () => {
    const { code, out, err } = await launch(['serve', '--config', '/nowhere/c.toml']);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('CONFIG_MISSING: There is no configuration file /nowhere/c.toml.\n');
    expect(err).not.toContain('node:internal');
  });
});
