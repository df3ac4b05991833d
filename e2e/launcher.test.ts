/**
 * The launcher as users meet it: the real `launch.mjs` and the real npm in a small project of their own, whose
 * targets are programs written here.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const REPOSITORY = path.dirname(import.meta.dirname);

/** Whatever npm might ask of a registry fails at once: port 9 discards, and nothing listens on it. */
const OFFLINE = { ...process.env, npm_config_registry: 'http://127.0.0.1:9' };

let project: string;

beforeEach(() => {
  project = mkdtempSync(path.join(os.tmpdir(), 'dc-launcher-'));
  cpSync(path.join(REPOSITORY, 'launch.mjs'), path.join(project, 'launch.mjs'));
  cpSync(path.join(REPOSITORY, 'scripts', 'launch'), path.join(project, 'scripts', 'launch'), {
    recursive: true,
  });
  writeFileSync(
    path.join(project, 'package.json'),
    JSON.stringify({ name: 'project', version: '1.0.0', type: 'module' }),
  );
  writeLockFile('1.0.0');
  mkdirSync(path.join(project, 'e2e'));
});

afterEach(() => {
  rmSync(project, { recursive: true, force: true });
});

function writeLockFile(version: string): void {
  const lock = {
    name: 'project',
    version,
    lockfileVersion: 3,
    requires: true,
    packages: { '': { name: 'project', version } },
  };
  writeFileSync(path.join(project, 'package-lock.json'), JSON.stringify(lock));
}

/** Gives the project its `npm start`, and returns its folder. */
function describeForNpm(): string {
  const scripts = { start: 'node launch.mjs start' };
  const description = { name: 'project', version: '1.0.0', type: 'module', scripts };
  writeFileSync(path.join(project, 'package.json'), JSON.stringify(description));
  return project;
}

/** What `npm start` runs. */
function writeTarget(source: string): void {
  writeFileSync(path.join(project, 'e2e', 'start.ts'), source);
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** The standard output so far. */
  shown(): string;
  /** Resolves when stdout or stderr has shown this text. */
  hasShown(text: string): Promise<void>;
}

/** Starts the launcher in a process group of its own, without a terminal. */
function launch(...args: string[]): Running {
  return watch(
    spawn(process.execPath, ['launch.mjs', ...args], { cwd: project, env: OFFLINE, detached: true }),
  );
}

function watch(child: ReturnType<typeof spawn>): Running {
  const result: Ended = { code: null, stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  const collect = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
    result[name] += chunk.toString();
    for (const look of waiting) look();
  };
  child.stdout?.on('data', collect('stdout'));
  child.stderr?.on('data', collect('stderr'));
  return {
    child,
    ended: new Promise((resolve) => child.on('close', (code) => resolve({ ...result, code }))),
    shown: () => result.stdout,
    hasShown: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!`${result.stdout}${result.stderr}`.includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

const COUNTING_TARGET = `
  let signals: string[] = [];
  const drain = (signal: string) => {
    signals.push(signal);
    if (signals.length === 1) setTimeout(() => { console.log('drained', signals.join()); process.exit(7); }, 1_000);
  };
  process.on('SIGTERM', () => drain('SIGTERM')).on('SIGINT', () => drain('SIGINT'));
  setInterval(() => {}, 1_000);
  console.log('ready');
`;

describe('a target', () => {
  it('gets the arguments and the input, and its exit code is the exit code', async () => {
    writeTarget(`
      let input: string = '';
      for await (const chunk of process.stdin) input += String(chunk);
      console.log(JSON.stringify([process.argv.slice(2), input]));
      process.exitCode = 3;
    `);
    const { child, ended } = launch('start', '--port', '0');
    child.stdin?.end('hello');
    expect(await ended).toMatchObject({ code: 3, stdout: `[["--port","0"],"hello"]\n` });
  });

  it('ends with 128 and the number of the signal that ended it', async () => {
    writeTarget("process.kill(process.pid, 'SIGKILL');");
    expect((await launch('start').ended).code).toBe(137);
  });

  it('runs with the chosen Node first on the PATH', async () => {
    const { stdout } = await launch('exec', 'node', '--print', 'process.execPath').ended;
    expect(stdout.trim()).toBe(process.execPath);
  });

  it('that there is not gets a list of those there are', async () => {
    const { code, stderr, stdout } = await launch('strat').ended;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('There is no target named "strat".');
    expect(stderr).toContain('start, rent, test');
  });
});

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('%s to the launcher lets the target drain', async (signal) => {
    writeTarget(COUNTING_TARGET);
    const { child, ended, hasShown } = launch('start');
    await hasShown('ready');
    child.kill(signal);
    expect(await ended).toMatchObject({ code: 7, stdout: `ready\ndrained ${signal}\n` });
  });

  it('that npm repeats is handed on once', async () => {
    writeTarget(COUNTING_TARGET);
    const { child, ended, hasShown } = launch('start');
    await hasShown('ready');
    child.kill('SIGTERM');
    await pause(200); // Signals that wait together would become one.
    child.kill('SIGTERM');
    expect((await ended).stdout).toBe('ready\ndrained SIGTERM\n');
  });

  it('to npm alone reaches the target, though npm’s shell hands nothing on', async () => {
    writeTarget(COUNTING_TARGET);
    const npm = watch(spawn('npm', ['start'], { cwd: describeForNpm(), detached: true }));
    await npm.hasShown('ready');
    npm.child.kill('SIGTERM');
    expect((await npm.ended).stdout).toContain('drained SIGTERM\n'); // All that hold the output have ended.
  });

  it('is not made up when the shell that started the launcher ends, as with setsid', async () => {
    writeTarget(COUNTING_TARGET);
    const command = `"${process.execPath}" launch.mjs start & echo "pid $!"; sleep 0.1`;
    const env = { ...OFFLINE, npm_lifecycle_event: '' };
    const shell = watch(spawn('sh', ['-c', command], { cwd: project, env }));
    await shell.hasShown('ready');
    await pause(1_500); // Longer than the launcher takes to notice.
    process.kill(Number(/pid (\d+)/.exec(shell.shown())?.[1]), 'SIGINT');
    expect((await shell.ended).stdout).toContain('drained SIGINT\n');
  });

  // `script` gives a program a terminal; its options differ outside Linux.
  it.runIf(process.platform === 'linux' && existsSync('/usr/bin/script'))(
    'by Ctrl-C in a terminal reaches the target once, through npm too',
    async () => {
      writeTarget(COUNTING_TARGET);
      const terminal = watch(spawn('script', ['-qec', 'npm start', '/dev/null'], { cwd: describeForNpm() }));
      await terminal.hasShown('ready');
      terminal.child.stdin?.write('\x03');
      expect((await terminal.ended).stdout).toMatch(/drained SIGINT\r?\n/);
    },
  );
});

describe('the packages', () => {
  it('are installed once for each lock file, and what is said about it leaves stdout alone', async () => {
    writeTarget("console.log('ran');");
    const first = await launch('start').ended;
    expect(first.stdout).toBe('ran\n');
    expect(first.stderr).toContain('Installing packages');
    expect(await launch('start').ended).toEqual({ code: 0, stdout: 'ran\n', stderr: '' });
    writeLockFile('1.0.1');
    expect((await launch('start').ended).stderr).toContain('Installing packages');
    rmSync(path.join(project, 'node_modules'), { recursive: true });
    expect((await launch('start').ended).stderr).toContain('Installing packages');
  });

  it('are installed by one of two launches, and both run', async () => {
    writeTarget("console.log('ran');");
    const both = await Promise.all([launch('start').ended, launch('start').ended]);
    expect(both.map(({ stdout }) => stdout)).toEqual(['ran\n', 'ran\n']);
    expect(both.filter(({ stderr }) => stderr.includes('Installing packages'))).toHaveLength(1);
    expect(readdirSync(path.join(project, '.runtime'))).toEqual([]);
  });

  it('that can not be installed are a failure with a remedy, which the next launch does not inherit', async () => {
    writeTarget("console.log('ran');");
    const description = {
      name: 'project',
      version: '1.0.0',
      type: 'module',
      dependencies: { missing: 'file:./missing' },
    };
    writeFileSync(path.join(project, 'package.json'), JSON.stringify(description));
    mkdirSync(path.join(project, 'missing'));
    writeFileSync(
      path.join(project, 'missing', 'package.json'),
      JSON.stringify({ name: 'missing', version: '1.0.0' }),
    );
    const failed = await launch('start').ended;
    expect([failed.code, failed.stdout]).toEqual([1, '']);
    expect(failed.stderr).toContain('npm ci failed');
    expect(failed.stderr).toContain('Missing: missing@');
    expect(failed.stderr).toContain('run npm install');
    expect(failed.stderr).not.toContain('Usage');
    writeFileSync(path.join(project, 'package.json'), JSON.stringify({ ...description, dependencies: {} }));
    expect((await launch('start').ended).stdout).toBe('ran\n');
  });
});

describe('the lock between launches', () => {
  const lock = (): string => path.join(project, '.runtime', 'install.lock');
  const writeLock = (host: string, pid: number): void => {
    mkdirSync(lock(), { recursive: true });
    writeFileSync(path.join(lock(), 'owner.json'), JSON.stringify({ host, pids: [pid] }));
  };
  const pidOfTheDead = (): number => spawnSync('true').pid;

  beforeEach(() => writeTarget("console.log('ran');"));

  it('is waited for while its holder lives', async () => {
    writeLock(os.hostname(), process.pid);
    const { ended, hasShown } = launch('start');
    await hasShown('Another launch is installing');
    rmSync(lock(), { recursive: true });
    expect((await ended).stdout).toBe('ran\n');
  });

  it('is taken over when its holder was killed', async () => {
    writeLock(os.hostname(), pidOfTheDead());
    expect((await launch('start').ended).stdout).toBe('ran\n');
  });

  it('is taken over when a holder on another machine has shown no life for a minute', async () => {
    writeLock('another-machine', process.pid);
    const longAgo = Date.now() / 1000 - 3_600;
    utimesSync(lock(), longAgo, longAgo);
    expect((await launch('start').ended).stdout).toBe('ran\n');
  });

  it('is taken over by one of several launches that find it', async () => {
    writeLock(os.hostname(), pidOfTheDead());
    const all = await Promise.all([1, 2, 3].map(() => launch('start').ended));
    expect(all.map(({ stdout }) => stdout)).toEqual(['ran\n', 'ran\n', 'ran\n']);
    expect(all.filter(({ stderr }) => stderr.includes('Installing packages'))).toHaveLength(1);
  });

  it('is given back when a signal ends the launcher while it installs', async () => {
    // A preinstall script would be the natural way to make npm slow, but scripts do not run here: npm itself is
    // replaced by a program that never ends.
    const npm = path.join(project, 'npm-cli.js');
    writeFileSync(
      npm,
      "(await import('node:fs')).writeFileSync('npm-runs', String(process.pid)); setInterval(() => {}, 1000);",
    );
    const child = spawn(process.execPath, ['launch.mjs', 'start'], {
      cwd: project,
      env: { ...OFFLINE, npm_execpath: npm },
    });
    const { ended } = watch(child);
    const pidFile = path.join(project, 'npm-runs');
    while (!existsSync(pidFile)) await pause(20);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(143);
    expect(() => process.kill(Number(readFileSync(pidFile)), 0)).toThrow('ESRCH');
    expect(existsSync(lock())).toBe(false);
    expect((await launch('start').ended).stdout).toBe('ran\n');
  });
});
