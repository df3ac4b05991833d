import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAppError } from '@dc/shared/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { runCommand, startCommand } from './run-command.ts';
import { systemClock } from './system-clock.ts';

const ENV = { PATH: '/usr/bin:/bin' };
const LIMITS = { timeoutMs: 10_000, outputBytesMax: 10_000 };
const never = new AbortController().signal;
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

const shell = (script: string) => ({ file: 'sh', args: ['-c', script], env: ENV });

/** A process that has ended but that nobody has waited for (a zombie) does not run. */
async function isRunning(pid: number): Promise<boolean> {
  const command = { file: 'ps', args: ['-o', 'stat=', '-p', String(pid)], env: ENV };
  const { stdout } = await runCommand(command, LIMITS, systemClock, never);
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

describe('running a command', () => {
  it('gives back exit code, output and errors apart', async () => {
    const result = await runCommand(shell('echo out; echo err >&2; exit 3'), LIMITS, systemClock, never);
    expect(result).toEqual({ exitCode: 3, signal: null, stdout: 'out\n', stderr: 'err\n' });
  });

  it('says by which signal it ended', async () => {
    const result = await runCommand(shell('kill -KILL $$'), LIMITS, systemClock, never);
    expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
  });

  it('passes arguments as they are, however they look to a shell', async () => {
    const args = ['$HOME', '`id`', "a'b", 'c d', '', '--', '*'];
    const result = await runCommand(
      { file: 'printf', args: ['%s\\n', ...args], env: ENV },
      LIMITS,
      systemClock,
      never,
    );
    expect(result.stdout).toBe(args.map((arg) => `${arg}\n`).join(''));
  });

  it('gives the program nothing of our own environment', async () => {
    process.env['DC_TEST_SECRET'] = 'hidden';
    const result = await runCommand({ file: 'env', args: [], env: ENV }, LIMITS, systemClock, never);
    delete process.env['DC_TEST_SECRET'];
    expect(result.stdout).toBe('PATH=/usr/bin:/bin\n');
  });

  it('runs where it is told, and closes stdin after the input', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'dc-run-'));
    folders.push(cwd);
    const result = await runCommand(
      { ...shell('pwd; cat'), cwd },
      { ...LIMITS, input: 'secret' },
      systemClock,
      never,
    );
    expect(result.stdout).toBe(`${cwd}\nsecret`);
  });

  it('does not mind a program that ends without reading its input', async () => {
    const input = 'x'.repeat(1_000_000);
    const result = await runCommand(shell('exit 0'), { ...LIMITS, input }, systemClock, never);
    expect(result.exitCode).toBe(0);
  });

  it('fails when there is no such program', async () => {
    const running = runCommand({ file: '/no/such/program', args: [], env: ENV }, LIMITS, systemClock, never);
    await expect(running).rejects.toSatisfy((error) => isAppError(error, 'COMMAND_FAILED'));
  });

  it('ends one that takes too long, with everything it started', async () => {
    const script = 'sleep 60 & echo $!; wait';
    let pid = 0;
    const started = await startCommand(shell(script), systemClock);
    started.stdout.on('data', (chunk: Buffer) => (pid = Number(chunk.toString())));
    started.stderr.resume();
    await expect.poll(() => pid).toBeGreaterThan(0);
    await started.stop();
    await expect.poll(() => isRunning(pid)).toBe(false);

    const slow = runCommand(shell('sleep 60'), { ...LIMITS, timeoutMs: 50 }, systemClock, never);
    await expect(slow).rejects.toSatisfy((error) => isAppError(error, 'COMMAND_FAILED'));
  });

  it('kills one that does not listen to SIGTERM', async () => {
    const stubborn = await startCommand(
      shell('trap "" TERM; echo up; while :; do sleep 0.1; done'),
      systemClock,
    );
    stubborn.stderr.resume();
    await new Promise((resolve) => stubborn.stdout.once('data', resolve));
    await stubborn.stop(50);
    expect(await stubborn.ended).toEqual({ exitCode: null, signal: 'SIGKILL' });
  });

  it('ends one that says too much', async () => {
    const chatty = runCommand(shell('yes'), LIMITS, systemClock, never);
    await expect(chatty).rejects.toSatisfy((error) => isAppError(error, 'COMMAND_FAILED'));
  });

  it('stops on abort, and starts nothing when aborted before', async () => {
    const controller = new AbortController();
    const running = runCommand(shell('sleep 60'), LIMITS, systemClock, controller.signal);
    controller.abort();
    await expect(running).rejects.toSatisfy((error) => isAppError(error, 'SAGA_ABORTED'));
    const late = runCommand(shell('sleep 60'), LIMITS, systemClock, controller.signal);
    await expect(late).rejects.toSatisfy((error) => isAppError(error, 'SAGA_ABORTED'));
  });
});
