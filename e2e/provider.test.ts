/** What a provider does, with nothing but the commands of dc-agent: register, offer, make a token, set an agent up. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { WireOffering } from '@dc/shared/wire/offering';
import { startTestSystem, temporaryFolder } from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');
const agent = (...args: string[]) => agentIn(ROOT, process.env, ...args);
const agentIn = (cwd: string, env: NodeJS.ProcessEnv, ...args: string[]) =>
  run(process.execPath, [join(ROOT, 'agent', 'src', 'main.ts'), ...args], { cwd, env });

async function inStock(url: string, title: string): Promise<boolean> {
  const response = await fetch(`${url}/api/v1/offerings?in_stock=true`);
  const { items } = (await response.json()) as { items: WireOffering[] };
  return items.some((offering) => offering.title === title);
}

describe('a provider', () => {
  it('registers, offers, and brings an agent up that can be rented from', async () => {
    const { url } = await startTestSystem();
    const folder = temporaryFolder();
    const key = join(folder, 'provider.key');
    const connection = ['--coordinator', url, '--key', key];
    const identity = ['--name', 'Ann', '--country', 'FR'];
    const registered = await agent('provider', 'register', ...connection, ...identity);
    expect(registered.stdout).toMatch(/^Provider {2}[0-9a-f]{64}$/m);
    expect(statSync(key).mode & 0o777).toBe(0o600);
    // Safe to run again: the same provider, the same pool.
    const again = await agent('provider', 'register', ...connection, ...identity);
    const poolOf = (text: string): string | undefined => /^Pool .*$/m.exec(text)?.[0];
    expect(poolOf(again.stdout)).toBe(poolOf(registered.stdout));

    const size = [
      '--cpu',
      '1',
      '--memory-mb',
      '512',
      '--disk-gb',
      '5',
      '--os',
      'Local shell',
      '--places',
      '3',
    ];
    const offer = ['--title', 'From Ann', '--price', '0.01 USD', ...size];
    const offered = await agent('provider', 'offer', ...connection, ...offer);
    expect(offered.stdout).toMatch(/From Ann, 0\.01 USD an hour/);
    const here = ['--title', 'Anywhere in France', '--price', '0.01 USD', '--country', 'FR', ...size];
    await agent('provider', 'offer', ...connection, ...here);
    const metered = ['--title', 'By the hour', '--price', '0.01 USD', '--unit-price', '0.02 USD', ...size];
    await agent('provider', 'offer', ...connection, ...metered, '--unit', 'minute', '--included', '60');
    await expect(
      agent('provider', 'offer', ...connection, ...metered, '--unit', 'week'),
    ).rejects.toMatchObject({ code: 2 });
    const { items } = (await (await fetch(`${url}/api/v1/offerings?q=hour`)).json()) as {
      items: WireOffering[];
    };
    expect(items).toMatchObject([
      { pricing_model: 'usage', billing_unit: 'minute', included_units: 60, title: 'By the hour' },
    ]);
    expect(await inStock(url, 'From Ann')).toBe(false);

    const token = (await agent('provider', 'token', ...connection)).stdout.trim();
    expect(token).toMatch(/^dcs_[A-Za-z0-9_-]{135}$/);
    const config = join(folder, 'agent', 'dc-agent.toml');
    const state = ['--output', config, '--state-dir', join(folder, 'agent', 'state')];
    await agent('setup', 'token', '--coordinator', url, '--token', token, ...state);
    const daemon = spawn(process.execPath, ['agent/src/main.ts', 'run', '--config', config], { cwd: ROOT });
    onTestFinished(async () => {
      const ended = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGTERM');
      await ended;
    });
    await expect.poll(() => inStock(url, 'From Ann'), { timeout: 20_000 }).toBe(true);

    expect(await inStock(url, 'Anywhere in France')).toBe(true);

    // A token registers one agent.
    const other = [
      '--output',
      join(folder, 'other', 'dc-agent.toml'),
      '--state-dir',
      join(folder, 'other', 'state'),
    ];
    await expect(
      agent('setup', 'token', '--coordinator', url, '--token', token, ...other),
    ).rejects.toMatchObject({
      stderr: expect.stringContaining('GRANT_USED') as string,
    });
    expect(existsSync(join(folder, 'other', 'dc-agent.toml'))).toBe(false);
  });

  it('has its key in its own settings, wherever it registers from, and is told where', async () => {
    const { url } = await startTestSystem();
    const [home, here] = [temporaryFolder(), temporaryFolder()];
    const key = join(home, '.config', 'dc-agent', 'provider.key');
    const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: '' };
    const connection = ['--coordinator', url];
    // Without a key: what is missing, and what to do.
    await expect(agentIn(here, env, 'provider', 'token', ...connection)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /provider\.key is missing[^]*--key[^]*dc-agent provider register/,
      ) as string,
    });
    const identity = ['--name', 'Ann', '--country', 'FR'];
    const registered = await agentIn(here, env, 'provider', 'register', ...connection, ...identity);
    expect(registered.stdout).toContain(`Made the provider's key: ${key}.`);
    expect([statSync(key).mode & 0o777, statSync(dirname(key)).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(readdirSync(here)).toEqual([]);
    const token = await agentIn(here, env, 'provider', 'token', ...connection);
    expect(token.stdout).toMatch(/^dcs_/);
  });

  it('can keep its settings elsewhere, and has no key made for a command that cannot work', async () => {
    const config = temporaryFolder();
    const env = { ...process.env, XDG_CONFIG_HOME: config };
    const register = ['provider', 'register', '--name', 'Ann', '--country', 'FR'];
    await expect(agentIn(ROOT, env, ...register)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--coordinator is missing') as string,
    });
    expect(readdirSync(config)).toEqual([]);
    // Nobody listens on port 9: the key is made, the call fails.
    await expect(agentIn(ROOT, env, ...register, '--coordinator', 'http://127.0.0.1:9')).rejects.toThrow();
    expect(existsSync(join(config, 'dc-agent', 'provider.key'))).toBe(true);
    const homeless = { ...process.env, HOME: '', XDG_CONFIG_HOME: '' };
    await expect(
      agentIn(ROOT, homeless, ...register, '--coordinator', 'http://127.0.0.1:9'),
    ).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('name the key with --key') as string,
    });
  });

  it('is told what is missing, and what an amount looks like', async () => {
    const folder = temporaryFolder();
    const key = join(folder, 'provider.key');
    await expect(agent('provider', 'register', '--key', key)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--name is missing') as string,
    });
    const offer = ['--coordinator', 'http://127.0.0.1:1', '--key', key, '--price', '1,50 EUR'];
    await expect(agent('provider', 'offer', ...offer)).rejects.toMatchObject({
      stderr: expect.stringContaining('0.008 USD') as string,
    });
  });
});
