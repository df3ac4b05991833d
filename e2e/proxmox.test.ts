/** `npm start -- --proxmox` as a person types it: rented, logged in to, a new password, and nothing left after Ctrl-C. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CheckResult } from '../agent/src/doctor/check.ts';
import { emptyDataFolder, PROXMOX_DATA_DIR } from './data-folder.ts';
import { rentOnce } from './rent-once.ts';
import { freePort, temporaryFolder } from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

/** `npm start` with these words, until `text`; and what ends it. */
async function startUntil(text: string, ...words: string[]) {
  const child = spawn(process.execPath, ['e2e/start.ts', ...words], { cwd: ROOT });
  let output = '';
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const isThere = new Promise<void>((resolve) => {
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes(text)) resolve();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
  });
  await Promise.race([isThere, ended]);
  expect(output).toContain(text);
  return {
    output: () => output,
    ended,
    interrupt: (): Promise<number | null> => {
      child.kill('SIGINT');
      return ended;
    },
  };
}

/** The programs whose command line has this text. */
function programsWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return []; // It has ended meanwhile.
      }
    })
    .filter((line) => line.includes(text));
}

/** What the provider's own commands say beside the running agent. */
async function looksHealthy(config: string): Promise<void> {
  const agent = async (...words: string[]) =>
    run(process.execPath, ['agent/src/main.ts', ...words, '--json', '--config', config], { cwd: ROOT });
  const doctor = JSON.parse((await agent('doctor')).stdout) as { healthy: boolean; checks: CheckResult[] };
  const off = doctor.checks.filter(({ severity }) => severity !== 'ok');
  expect(off).toEqual([]);
  expect(doctor.checks.find(({ name }) => name === 'proxmox probe')?.detail).toContain(
    'nothing of it is left',
  );
  expect(doctor.checks.find(({ name }) => name === 'deliveries')?.detail).toContain('The last 1 took');
  const { stages } = JSON.parse((await agent('test-provision')).stdout) as { stages: { name: string }[] };
  expect(stages.map(({ name }) => name)).toEqual([
    ...['fingerprint', '- linked clone', '- configure', '- start', '- first login', 'create'],
    ...['ssh answers', 'destroy', 'proof of absence'],
  ]);
}

describe('npm start -- --proxmox', () => {
  it('rents a machine of a simulated cluster, forgets it at Ctrl-C, and starts over', async () => {
    const port = String(await freePort());
    const dataDir = join(temporaryFolder(), 'data');
    const words = ['--proxmox', '--port', port, '--data-dir', dataDir];
    const started = await startUntil('Ready in', ...words);
    expect(started.output()).toContain('Proxmox VE 9.1 (simulated) answers at https://127.0.0.1:');
    expect(started.output()).toContain(`npm start -- --proxmox --data-dir ${dataDir} --port ${port} starts`);
    const report = await rentOnce(`http://127.0.0.1:${port}`);
    expect(report).toMatchObject({
      offering: 'Proxmox S',
      command_output: 'hello from renter',
      instance_gone: true,
      released: true,
    });
    expect(report.ssh_command).toMatch(/^ssh -p 2222 renter@127\./);
    await looksHealthy(join(dataDir, 'agent', 'dc-agent.toml'));
    expect(await started.interrupt()).toBe(0);
    expect(programsWith(dataDir)).toEqual([]);

    const again = await startUntil('Ready in', ...words);
    expect(await again.interrupt()).toBe(0);
    const mixed = await startUntil('the data of the other', '--port', port, '--data-dir', dataDir);
    expect(await mixed.ended).toBe(2);
    expect(existsSync(join(dataDir, 'proxmox'))).toBe(true);
  });

  it('can be stopped while it starts', async () => {
    const dataDir = join(temporaryFolder(), 'data');
    const started = await startUntil(
      'answers at',
      ...['--proxmox', '--port', String(await freePort()), '--data-dir', dataDir],
    );
    expect(await started.interrupt()).toBe(0);
    expect(programsWith(dataDir)).toEqual([]);
  });

  it('has a data folder of its own, which a fresh start without it leaves alone', () => {
    const folder = temporaryFolder();

    for (const name of [basename(PROXMOX_DATA_DIR), 'pve-sim', 'agent']) mkdirSync(join(folder, name));
    emptyDataFolder(folder);
    expect(readdirSync(folder)).toEqual(['proxmox-demo', 'pve-sim']);
  });
});
