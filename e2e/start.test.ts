/** `npm start` and `npm run rent` as a person types them. */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createServer } from 'node:net';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RestartBackoff } from './child-program.ts';
import { claimDataFolder, emptyDataFolder, RefusedError } from './data-folder.ts';
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

const start = (...args: string[]): Started =>
  watch(spawn(process.execPath, ['e2e/start.ts', ...args], { cwd: ROOT }));

/** The whole chain: npm, its shell, the launcher, `e2e/start.ts`; in a process group of its own, as in a terminal. */
const npmStart = (...args: string[]): Started =>
  watch(spawn('npm', ['start', '--', ...args], { cwd: ROOT, detached: true }));

function watch(child: ChildProcessWithoutNullStreams): Started {
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
    const report = await rent(url);
    expect(report.instance_gone).toBe(true);
    expect(report.paid_to_ssh_ms).toBeGreaterThan(0);
    expect(first.output()).toContain(`npm run rent -- --url ${url}\n`);
    expect(first.output()).toContain(
      `Data    ${dataDir}  (npm start -- --fresh --data-dir ${dataDir} --port ${port}`,
    );
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
    'refuses %s %s, says so, and shows the usage',
    async (...args) => {
      const started = start(...args);
      expect(await started.ended).toBe(2);
      expect(started.output()).toMatch(/--port takes|Unknown option/);
      expect(started.output()).toContain('Usage: npm start');
    },
  );

  it('says that a program ended and is started again, and where its log is', async () => {
    const dataDir = join(temporaryFolder(), 'data');
    const started = start('--port', String(await freePort()), '--data-dir', dataDir);
    await started.until('Ready in');
    const killed = pidsIn(dataDir).agent;
    process.kill(killed, 'SIGKILL');
    await started.until('starts again');
    expect(started.output()).toMatch(
      /\d\d:\d\d:\d\d {2}The agent ended by SIGKILL; it starts again in 0\.4 s\./,
    );
    expect(started.output()).toContain(`Log: ${join(dataDir, 'agent.log')}\n`);
    await expect.poll(() => pidsIn(dataDir).agent, { timeout: 10_000 }).not.toBe(killed);
  });
});

const pidsIn = (dataDir: string): { agent: number; coordinator: number } => ({
  agent: Number(readFileSync(join(dataDir, 'agent.pid'), 'utf8')),
  coordinator: Number(readFileSync(join(dataDir, 'coordinator.pid'), 'utf8')),
});

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: these are our own processes.
  }
}

describe('the data folder of npm start', () => {
  it.each([[[]], [['--fresh']]])('is not taken from anybody: %j changes nothing in it', async (flags) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    const started = start('--port', String(await freePort()), '--data-dir', folder, ...flags);
    expect(await started.ended).toBe(2);
    expect(started.output()).toContain(`${folder} has things in it that npm start did not make`);
    expect(readdirSync(folder)).toEqual(['thesis.txt']);
  });

  it('is claimed when it is missing, empty, marked, or from before there were marks', () => {
    const parent = temporaryFolder();
    const folder = (name: string, files: Record<string, string>): string => {
      mkdirSync(join(parent, name));
      for (const [file, text] of Object.entries(files)) writeFileSync(join(parent, name, file), text);
      return join(parent, name);
    };
    const ours = [
      join(parent, 'missing'),
      folder('empty', {}),
      folder('marked', { '.dc-demo': '', 'agent.log': '' }),
      folder('old', { 'coordinator.toml': '# Written by npm start at every start.\n', 'provider.key': '00' }),
    ];
    for (const path of ours) {
      const release = claimDataFolder(path, 'http://127.0.0.1:1');
      emptyDataFolder(path);
      release();
      expect(readdirSync(path)).toEqual(['.dc-demo']);
    }
    const other = folder('other', { 'coordinator.toml': '# My own.\n', 'provider.key': '00' });
    expect(() => claimDataFolder(other, 'http://127.0.0.1:1')).toThrow(RefusedError);
    expect(() => claimDataFolder(join(other, 'provider.key'), 'http://127.0.0.1:1')).toThrow(RefusedError);
    expect(readdirSync(other)).toEqual(['coordinator.toml', 'provider.key']);
  });

  it('has one npm start: a second one says so and leaves the first alone', async () => {
    const port = String(await freePort());
    const dataDir = join(temporaryFolder(), 'data');
    const first = start('--port', port, '--data-dir', dataDir);
    await first.until('Ready in');
    const before = pidsIn(dataDir);
    const second = start('--port', String(await freePort()), '--data-dir', dataDir, '--fresh');
    expect(await second.ended).toBe(2);
    expect(second.output()).toBe(
      `npm start already runs on this data (pid ${String(first.child.pid)}, http://127.0.0.1:${port}). ` +
        'Stop it first, or choose another --data-dir.\n',
    );
    expect(pidsIn(dataDir)).toEqual(before);
    expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).ok).toBe(true);
    first.child.kill('SIGTERM');
    await first.ended;
    expect(existsSync(join(dataDir, 'supervisor.json'))).toBe(false);
  });

  it('is taken over from a dead npm start, whose pid may be somebody else’s by now', () => {
    const folder = temporaryFolder();
    const url = 'http://127.0.0.1:1';
    claimDataFolder(folder, url);
    expect(() => claimDataFolder(folder, url)).toThrow(
      `already runs on this data (pid ${String(process.pid)}`,
    );
    const holder = { pid: process.pid, startTime: 'another', url };
    writeFileSync(join(folder, 'supervisor.json'), JSON.stringify(holder));
    claimDataFolder(folder, url)();
    expect(readdirSync(folder)).toEqual(['.dc-demo']);
  });
});

describe('npm start, when what it was started from goes away', () => {
  it('drains when the terminal is closed: SIGHUP for all, and nowhere to write', async () => {
    const dataDir = join(temporaryFolder(), 'data');
    const started = npmStart('--port', String(await freePort()), '--data-dir', dataDir);
    await started.until('Ready in');
    const { agent, coordinator } = pidsIn(dataDir);
    started.child.stdout.destroy();
    started.child.stderr.destroy();
    process.kill(-(started.child.pid ?? 0), 'SIGHUP');
    await expect.poll(() => existsSync(join(dataDir, 'supervisor.json')), { timeout: 10_000 }).toBe(false);
    expect([agent, coordinator].filter(lives)).toEqual([]);
  });

  it.each(['npm', 'the launcher'])('drains when only %s is ended', async (who) => {
    const dataDir = join(temporaryFolder(), 'data');
    const started = npmStart('--port', String(await freePort()), '--data-dir', dataDir);
    await started.until('Ready in');
    const { agent, coordinator } = pidsIn(dataDir);
    const lock = JSON.parse(readFileSync(join(dataDir, 'supervisor.json'), 'utf8')) as { pid: number };
    if (who === 'npm') started.child.kill('SIGTERM');
    else process.kill(parentOf(lock.pid), 'SIGKILL');
    await expect.poll(() => lives(lock.pid), { timeout: 10_000 }).toBe(false);
    expect([agent, coordinator].filter(lives)).toEqual([]);
    expect(started.output()).toContain('Stopped.');
  });

  it('runs on when the shell that started it ends, as under nohup or setsid', async () => {
    const dataDir = join(temporaryFolder(), 'data');
    const command = `e2e/start.ts --port ${String(await freePort())} --data-dir ${dataDir}`;
    const shell = watch(spawn('sh', ['-c', `"${process.execPath}" ${command} & sleep 0.1`], { cwd: ROOT }));
    await shell.until('Ready in');
    const { pid } = JSON.parse(readFileSync(join(dataDir, 'supervisor.json'), 'utf8')) as { pid: number };
    await expect.poll(() => shell.child.exitCode).toBe(0);
    await delay(1_500); // Longer than it takes to notice a launcher's end.
    expect(lives(pid)).toBe(true);
    process.kill(pid, 'SIGTERM');
    await shell.ended;
    expect(shell.output()).toContain('Stopped.');
  });
});

/** The pid of the process that started this one (Linux). */
const parentOf = (pid: number): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]);

describe('the wait before a restart', () => {
  it('doubles up to 10 s, and begins anew after a run of 10 s', () => {
    const backoff = new RestartBackoff();
    expect([0, 0, 0, 0, 0, 9_999].map((ranForMs) => backoff.next(ranForMs))).toEqual([
      400, 800, 1_600, 3_200, 6_400, 10_000,
    ]);
    expect(backoff.next(10_000)).toBe(400);
    expect(backoff.next(0)).toBe(800);
  });
});

describe('npm run rent', () => {
  it('says that nothing runs, and how to start it', async () => {
    const url = `http://127.0.0.1:${String(await freePort())}`;
    await expect(rent(url)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('npm start') as string,
    });
  });

  it.each([['--bogus'], ['--url', 'here']])(
    'refuses %s %s with the usage, and asks nothing else',
    async (...args) => {
      const refused = run(process.execPath, ['e2e/rent.ts', ...args], { cwd: ROOT });
      await expect(refused).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringMatching(
          /^(Unknown option '--bogus'|--url takes an address)[^]*Usage: npm run rent/,
        ) as string,
      });
      await expect(refused).rejects.not.toMatchObject({
        stderr: expect.stringContaining('running') as string,
      });
    },
  );
});
