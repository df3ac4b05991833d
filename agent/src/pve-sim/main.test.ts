/** The program itself: what it prints is enough to use it, and it ends when it is told to. */
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { describe, expect, it } from 'vitest';

const MAIN = join(import.meta.dirname, 'main.ts');

interface Run {
  readonly output: string;
  readonly exitCode: number | null;
}

/** Runs the program until it says `until`, does `then`, and ends it with SIGTERM. */
async function runMain(
  args: readonly string[],
  until: string,
  then: (output: string) => Promise<void> = async () => {},
): Promise<Run> {
  const child = spawn(process.execPath, [MAIN, ...args]);
  let output = '';
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const said = new Promise<void>((resolve) => {
    const listen = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes(until)) resolve();
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    void ended.then(() => resolve());
  });
  await said;
  await then(output);
  child.kill('SIGTERM');
  return { output, exitCode: await ended };
}

describe('dc-pve-sim', () => {
  it('says where it is, what its certificate is, and who may come in', { timeout: 20_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dc-pve-sim-'));
    const file = join(folder, 'ca.pem');
    const args = ['--port', '0', '--nodes', '2', '--times', 'quick', '--seed', '1', '--certificate', file];
    let version: unknown;
    const { output, exitCode } = await runMain(args, 'template', async (said) => {
      const [, url = ''] = /API +(\S+)/.exec(said) ?? [];
      const [, token = ''] = /token +(\S+)/.exec(said) ?? [];
      const dispatcher = new Agent({ connect: { ca: readFileSync(file) } });
      const headers = { authorization: `PVEAPIToken=${token}` };
      const { body } = await request(`${url}/version`, { dispatcher, headers });
      version = await body.json();
      await dispatcher.close();
    });
    const { fingerprint256 } = new X509Certificate(readFileSync(file));
    rmSync(folder, { recursive: true });
    expect(version).toMatchObject({ data: { release: '8.4' } });
    expect(output).toContain(`fingerprint  ${fingerprint256}`);
    expect(output).toMatch(/8\.4\.1 \(simulated\): pve1, pve2/);
    expect(output).toMatch(/token +root@pam!sim=[0-9a-f-]{36}/);
    expect(exitCode).toBe(0);
  });

  it(
    'refuses a fault script that it cannot read, and an option that it does not know',
    { timeout: 20_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'dc-pve-sim-'));
      const file = join(folder, 'faults.json');
      writeFileSync(file, '{"rules":[{"on":"task","kind":"x"}]}');
      const wrongScript = await runMain(['--port', '0', '--faults', file], 'never');
      expect(wrongScript).toMatchObject({
        exitCode: 2,
        output: expect.stringContaining('Rule 1 (on task)') as string,
      });
      expect(await runMain(['--prot', '1'], 'never')).toMatchObject({
        exitCode: 2,
        output: expect.stringContaining("'--prot'") as string,
      });
      expect(await runMain(['--version', '6'], 'never')).toMatchObject({
        exitCode: 2,
        output: expect.stringContaining('7.4, 8.4, 9.1') as string,
      });
      rmSync(folder, { recursive: true });
    },
  );

  it('prints which privilege each call needs', { timeout: 20_000 }, async () => {
    const { output, exitCode } = await runMain(['--permissions', '--version', '9.1'], 'never');
    expect(exitCode).toBe(0);
    expect(output).toMatch(
      /POST \/nodes\/\{node\}\/qemu\/\{vmid\}\/clone +\| VM\.Clone on \/vms\/\{vmid\} and \(/,
    );
    expect(output).toContain('VM.GuestAgent.Unrestricted');
  });

  it('brings the tools of the host', { timeout: 20_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dc-pve-tools-'));
    const args = ['--port', '0', '--nodes', '2', '--times', 'quick', '--tools', folder];
    let answer = '';
    const { exitCode } = await runMain(args, 'tools ', async () => {
      const child = spawn(join(folder, 'pvesh'), ['get', '/nodes', '--output-format', 'json']);
      child.stdout.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      await new Promise((resolve) => child.once('close', resolve));
    });
    rmSync(folder, { recursive: true });
    expect(JSON.parse(answer)).toMatchObject([{ node: 'pve1' }, { node: 'pve2' }]);
    expect(exitCode).toBe(0);
  });
});
