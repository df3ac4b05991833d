/** The real process: signals, exit codes, pipes, and a datagram socket in systemd's place. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SetupCoordinator } from './testing/setup-coordinator.ts';
import { tempDirs } from './testing/temp-dir.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const makeDir = tempDirs();
const started: ChildProcess[] = [];
let coordinator: SetupCoordinator;
let dir: string;
let config: string;

beforeEach(async () => {
  coordinator = await SetupCoordinator.start();
  dir = await makeDir();
  config = join(dir, 'dc-agent.toml');
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  await coordinator.stop();
});

/** Starts the program; `seen` waits for a text in its output, `ended` for its exit code. */
function start(args: readonly string[], options: { input?: string; env?: Record<string, string> } = {}) {
  const env = { PATH: process.env['PATH'], ...options.env };
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  started.push(child);
  let text = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      for (const listener of listeners) listener();
    });
  }
  child.stdin.end(options.input ?? '');
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  const seen = (part: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (text.includes(part)) resolve();
      };
      listeners.add(look);
      look();
      void ended.then(() => reject(new Error(`it ended without saying ${part}:\n${text}`)));
    });
  return { child, ended, seen, output: () => text };
}

async function setUp(): Promise<string> {
  const token = coordinator.grant();
  const args = ['--coordinator', coordinator.url, '--output', config, '--state-dir', join(dir, 'state')];
  const run = start(['setup', 'token', ...args], { input: `${token}\n` });
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).not.toContain(token);
  return token;
}

const runAgent = (env?: Record<string, string>) =>
  start(['run', '--config', config], env === undefined ? {} : { env });

describe('dc-agent as a process', { timeout: 60_000 }, () => {
  it('is set up by a token from a pipe, runs, and drains at SIGTERM', async () => {
    await setUp();
    const agent = runAgent();
    await agent.seen('stream.opened');
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toBe(143);
    for (const line of agent.output().trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg');
    expect(agent.output()).toContain('agent.stopped');
    const seal = (await readFile(join(dir, 'keys', 'seal.key'), 'utf8')).trim();
    expect(agent.output()).not.toContain(seal);
  });

  it('ends at SIGINT too, and at once at the second signal', async () => {
    await setUp();
    const agent = runAgent();
    await agent.seen('stream.opened');
    agent.child.kill('SIGINT');
    await agent.seen('agent.draining');
    agent.child.kill('SIGINT');
    expect(await agent.ended).toBe(130);
  });

  it('says each reason not to start by its exit code', async () => {
    expect(await runAgent().ended).toBe(2); // No configuration.
    await setUp();
    const key = join(dir, 'keys', 'agent.key');
    await chmod(key, 0o644);
    const unsafe = runAgent();
    expect(await unsafe.ended).toBe(2);
    expect(unsafe.output()).toContain(`Run: chmod 600 ${key} [KEY_FILE_UNSAFE]`);
    await chmod(key, 0o600);

    const first = runAgent();
    await first.seen('agent.started');
    const second = runAgent();
    expect(await second.ended).toBe(2);
    expect(second.output()).toContain('[DATABASE_LOCKED]');
    first.child.kill('SIGTERM');
    await first.ended;

    const journal = new Database(join(dir, 'state', 'journal.sqlite'));
    journal.pragma('user_version = 999');
    journal.close();
    const newer = runAgent();
    expect(await newer.ended).toBe(3);
    expect(newer.output()).toContain('[DATABASE_NEWER]');
  });

  it('ends with 4 when its key was revoked', async () => {
    await setUp();
    coordinator.wire.misbehave = ({ path }) =>
      path.endsWith('/heartbeat')
        ? { status: 401, body: '{"code":"KEY_REVOKED","detail":"Revoked."}' }
        : undefined;
    const agent = runAgent();
    expect(await agent.ended).toBe(4);
    const status = start(['status', '--config', config]);
    expect(await status.ended).toBe(1);
    expect(status.output()).toContain('it ended itself: Revoked.');
  });

  it('is started again after kill -9, and was not the last one to hold the journal', async () => {
    await setUp();
    const killed = runAgent();
    await killed.seen('stream.opened');
    killed.child.kill('SIGKILL');
    await killed.ended;
    const agent = runAgent();
    await agent.seen('stream.opened');
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toBe(143);
  });

  const canNotify = spawnSync('sh', ['-c', 'command -v systemd-notify && command -v perl']).status === 0;
  // systemd-notify is part of systemd; without it there is nobody to notify.
  it.skipIf(!canNotify)('tells systemd when it is ready, that it lives, and that it stops', async () => {
    await setUp();
    const socket = join(dir, 'notify');
    const receiver = spawn('perl', [
      '-e',
      'use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); bind($s, sockaddr_un($ARGV[0])) or die; ' +
        'print "listening\\n"; while (defined(recv($s, my $t, 4096, 0))) { print "$t\\n"; }',
      socket,
    ]);
    started.push(receiver);
    let heard = '';
    receiver.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    while (!heard.includes('listening')) await new Promise((resolve) => setTimeout(resolve, 5));
    const agent = runAgent({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '3000000' });
    await agent.seen('stream.opened');
    while ((heard.match(/WATCHDOG=1/g) ?? []).length < 3)
      await new Promise((resolve) => setTimeout(resolve, 20));
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toBe(143);
    const said = heard.split('\n').filter((line) => /^(READY|STOPPING|STATUS)/.test(line));
    expect(said).toContain('READY=1');
    expect(said).toContain('STATUS=0 running, 0 at work, in contact with the coordinator');
    expect(said.at(-1)).toBe('STOPPING=1');
  });

  it('checks evidence from a pipe', async () => {
    const run = start(['verify-evidence', '-'], { input: '\n' });
    expect(await run.ended, run.output()).toBe(1);
    expect(run.output()).toContain('There is no record in it');
  });
});
