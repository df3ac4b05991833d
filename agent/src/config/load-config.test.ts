import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { describe, expect, it } from 'vitest';
import { tempDirs } from '../testing/temp-dir.ts';
import { renderConfig, type TemplateValues } from './config-template.ts';
import { loadConfig } from './load-config.ts';

const makeDir = tempDirs();
const KEY = SigningKey.fromSeed(new Uint8Array(32).fill(3)).publicKey;
const VALUES: TemplateValues = {
  coordinator: { url: 'http://127.0.0.1:8787', public_keys: [KEY] },
  agent: {
    environment: 'demo',
    provider_pubkey: KEY,
    pool_id: '01890000-0000-7000-8000-000000000000',
    state_dir: 'state',
    key_dir: '/keys',
  },
  provisioner: { kind: 'local' },
};

async function write(text: string): Promise<string> {
  const file = join(await makeDir(), 'dc-agent.toml');
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

async function refusal(text: string): Promise<AppError> {
  try {
    await loadConfig(await write(text));
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

const change = (from: string | RegExp, to: string): string => {
  const text = renderConfig(VALUES);
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  return changed;
};

describe('the configuration that set-up writes', () => {
  it('loads, with defaults for what it leaves out and paths from its own directory', async () => {
    const file = await write(renderConfig(VALUES));
    expect(await loadConfig(file)).toEqual({
      coordinator: { url: 'http://127.0.0.1:8787', publicKeys: [KEY] },
      environment: 'demo',
      providerKey: KEY,
      poolId: '01890000-0000-7000-8000-000000000000',
      stateDir: join(file, '..', 'state'),
      keyDir: '/keys',
      provisioner: { kind: 'local', options: {} },
      limits: {
        parallel: 8,
        drainMs: 30_000,
        sshTimeoutMs: 300_000,
        diskFreeBytes: 200_000_000,
        destructionsPerHour: 3,
        historyMs: 90 * 86_400_000,
      },
      logLevel: 'info',
    });
  });

  it('explains every setting, and shows the defaults of those that it leaves out', () => {
    const text = renderConfig(VALUES);
    for (const line of text.split('\n')) expect(line).toMatch(/^(|#.*|\[[a-z.]+\]|[a-z_]+ = .+)$/);
    expect(text).toContain('# How many contracts are worked on at once\n# parallel = 8\n');
    expect(text).toContain('[provisioner.local]\n');
    expect(text).not.toContain('undefined');
  });

  it('takes the driver’s options to the driver', async () => {
    const text = `${renderConfig(VALUES)}port_first = 20000\nport_last = 20010\n`;
    expect((await loadConfig(await write(text))).provisioner.options).toEqual({
      port_first: 20_000,
      port_last: 20_010,
    });
  });
});

describe('a configuration', () => {
  it('that is not there says so', async () => {
    await expect(loadConfig(join(await makeDir(), 'none.toml'))).rejects.toMatchObject({
      code: 'CONFIG_MISSING',
    });
  });

  it('that is a directory cannot be read', async () => {
    const dir = join(await makeDir(), 'dc-agent.toml');
    await mkdir(dir, { mode: 0o700 });
    await expect(loadConfig(dir)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('that is no TOML names the line', async () => {
    const error = await refusal('[agent]\nenvironment = demo\n');
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('line 2');
  });

  it('shows all its problems at once, with the nearest setting for one that it does not know', async () => {
    const error = await refusal(
      '[coordinator]\nurl = 7\npublic_keys = ["abc"]\n[agent]\nenviroment = "demo"\n[limits]\nparallel = 0\n',
    );
    expect(error.code).toBe('CONFIG_INVALID');
    for (const part of [
      'coordinator.url',
      'coordinator.public_keys',
      'agent.environment',
      'agent.provider_pubkey',
      'did you mean agent.environment?',
      'limits.parallel',
    ]) {
      expect(error.message).toContain(part);
    }
  });

  it.each([
    ['http://coordinator.lan', 'https'],
    ['https://coordinator.example.net', 'placeholder'],
    ['https://<host>', 'address'],
    ['coordinator', 'scheme'],
    ['https://user:secret@coordinator.lan', 'without a user'],
    ['https://coordinator.lan/?x', 'without a query'],
    ['ftp://127.0.0.1', 'https'],
    ['http://127.0.0.1.evil.lan', 'https'],
  ])('with the address %s is refused', async (url, why) => {
    const error = await refusal(change('http://127.0.0.1:8787', url));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(why);
  });

  it('with a key that anybody could sign for is refused', async () => {
    const weak = `01${'0'.repeat(62)}`;
    const error = await refusal(change(`public_keys = ["${KEY}"]`, `public_keys = ["${weak}"]`));
    expect(error.message).toContain('coordinator.public_keys[0]');
  });

  it('with options that the driver refuses names them', async () => {
    const error = await refusal(`${renderConfig(VALUES)}bind = "0.0.0.0"\nport_first = 1\n`);
    expect(error.message).toContain('provisioner.local.bind');
    expect(error.message).toContain('provisioner.local.port_first');
  });

  it('that others can change is refused', async () => {
    const file = await write(renderConfig(VALUES));
    await chmod(file, 0o666);
    await expect(loadConfig(file)).rejects.toMatchObject({
      code: 'KEY_FILE_UNSAFE',
      remedy: `Run: chmod go-w ${file}`,
    });
  });
});
