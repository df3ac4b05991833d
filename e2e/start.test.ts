/** `npm start` and `npm run rent` as a person types them. */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createServer } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RentalReport } from './rent-once.ts';
import { freePort, temporaryFolder } from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

/** A started `npm start`, and what it printed. */
interface Started {
  child: ChildProcessWithoutNullStreams;
  output: () => string;
  /** Resolves when the output has `text`; rejects with the output when it ends without. */
  until(text: string): Promise<void>;
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
}

function start(...args: string[]): Started {
  const child = spawn(process.execPath, ['e2e/start.ts', ...args], { cwd: ROOT });
  let output = '';
  const waiting = new Set<() => void>();
  const take = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const check of waiting) check();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  return {
    child,
    ended,
    output: () => output,
    until: (text) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!output.includes(text)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
        void ended.then(() => reject(new Error(`ended without "${text}":\n${output}`)));
      }),
  };
}

const rent = async (url: string): Promise<RentalReport> => {
  const { stdout } = await run(process.execPath, ['e2e/rent.ts', '--json', '--url', url], { cwd: ROOT });
  return JSON.parse(stdout) as RentalReport;
};

describe('npm start', () => {
  it('says where the page is, rents, drains at Ctrl-C, and carries on at the next start', async () => {
    const port = String(await freePort());
    const url = `http://127.0.0.1:${port}`;
    const dataDir = join(temporaryFolder(), 'data');
    const first = start('--port', port, '--data-dir', dataDir);
    await first.until('Ready in');
    expect(first.output()).toContain(`${url}/`);
    expect(first.output()).toContain('npm run rent');
    const report = await rent(url);
    expect(report.instance_gone).toBe(true);
    expect(report.paid_to_ssh_ms).toBeGreaterThan(0);
    first.child.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(first.output()).toContain('Stopped.');

    const providerKey = readFileSync(join(dataDir, 'provider.key'), 'utf8');
    const second = start('--port', port, '--data-dir', dataDir);
    await second.until('Ready in');
    const offerings = await (await fetch(`${url}/api/v1/offerings`)).json();
    expect((offerings as { items: unknown[] }).items).toHaveLength(3);
    expect(readFileSync(join(dataDir, 'provider.key'), 'utf8')).toBe(providerKey);
    second.child.kill('SIGINT');
    await second.ended;

    const fresh = start('--port', port, '--data-dir', dataDir, '--fresh');
    await fresh.until('Ready in');
    expect(readFileSync(join(dataDir, 'provider.key'), 'utf8')).not.toBe(providerKey);
  });

  it('takes over from a start that was killed with kill -9', async () => {
    const port = String(await freePort());
    const dataDir = join(temporaryFolder(), 'data');
    const killed = start('--port', port, '--data-dir', dataDir);
    await killed.until('Ready in');
    killed.child.kill('SIGKILL');
    await killed.ended;
    const next = start('--port', port, '--data-dir', dataDir);
    await next.until('Ready in');
    expect((await rent(`http://127.0.0.1:${port}`)).released).toBe(true);
  });

  it('names a port that is in use, and how to choose another', async () => {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const started = start('--port', String(port), '--data-dir', join(temporaryFolder(), 'data'));
    expect(await started.ended).toBe(2);
    expect(started.output()).toMatch(/is in use.*--port/);
  });

  it.each([['--port', '0'], ['--port', 'abc'], ['--unknown']])(
    'refuses %s %s and says so',
    async (...args) => {
      const started = start(...args);
      expect(await started.ended).toBe(2);
      expect(started.output()).toMatch(/--port takes|Unknown option/);
    },
  );
});

describe('npm run rent', () => {
  it('says that nothing runs, and how to start it', async () => {
    const url = `http://127.0.0.1:${String(await freePort())}`;
    await expect(rent(url)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('npm start') as string,
    });
  });
});
