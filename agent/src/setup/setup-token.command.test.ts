import { existsSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli.ts';
import { loadKeys } from '../config/key-files.ts';
import { loadConfig } from '../config/load-config.ts';
import { SetupCoordinator } from '../testing/setup-coordinator.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';

const makeDir = tempDirs();
let coordinator: SetupCoordinator;
let dir: string;

beforeEach(async () => {
  coordinator = await SetupCoordinator.start();
  dir = join(await makeDir(), 'etc');
});
afterEach(() => coordinator.stop());

/** Runs the set-up with the token on standard input, as a person would paste it. */
async function setUp(token: string, ...more: string[]) {
  const world = testWorld({ readSecret: () => Promise.resolve(`  ${token}\n`) });
  const args = [
    '--coordinator',
    coordinator.url,
    '--output',
    join(dir, 'dc-agent.toml'),
    '--state-dir',
    join(dir, 'state'),
  ];
  const exitCode = await runCli(['setup', 'token', ...args, ...more], world);
  return { exitCode, printed: world.printed(), complained: world.complained() };
}

const files = async (): Promise<string[]> =>
  existsSync(dir)
    ? (await readdir(dir, { recursive: true, withFileTypes: true }))
        .filter((one) => one.isFile())
        .map(({ name }) => name)
        .sort()
    : [];

describe('setup token', () => {
  it('writes keys and a configuration that the agent takes, and shows no secret', async () => {
    const token = coordinator.grant();
    const { exitCode, printed, complained } = await setUp(token);
    expect([exitCode, complained]).toEqual([0, '']);
    const config = await loadConfig(join(dir, 'dc-agent.toml'));
    expect(config).toMatchObject({
      coordinator: { url: coordinator.url, publicKeys: [coordinator.memory.key.publicKey] },
      environment: 'test',
      providerKey: coordinator.provider.publicKey,
      provisioner: { kind: 'local' },
    });
    const { agentKey } = loadKeys(config.keyDir);
    expect(printed).toContain(agentKey.publicKey);
    expect(await files()).toEqual(['agent.key', 'dc-agent.toml', 'delegation.jws', 'grant.jws', 'seal.key']);
    for (const name of ['keys/agent.key', 'keys/seal.key', 'dc-agent.toml']) {
      expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600);
      if (name.startsWith('keys'))
        expect(printed).not.toContain((await readFile(join(dir, name), 'utf8')).trim());
    }
    expect(printed).not.toContain(token);
  });

  it('run twice says that it was done, and leaves what the operator changed', async () => {
    const token = coordinator.grant();
    await setUp(token);
    const config = join(dir, 'dc-agent.toml');
    await writeFile(config, `${await readFile(config, 'utf8')}# mine\n`);
    const key = await readFile(join(dir, 'keys', 'agent.key'), 'utf8');
    const again = await setUp(token);
    expect(again.exitCode).toBe(0);
    expect(again.printed).toContain('registered with this token already');
    expect(await readFile(join(dir, 'keys', 'agent.key'), 'utf8')).toBe(key);
    expect(await readFile(config, 'utf8')).toContain('# mine');
    expect(new Set(coordinator.registrations).size).toBe(1);
  });

  it('goes on after the answer to the registration was lost', async () => {
    const token = coordinator.grant();
    coordinator.wire.misbehave = ({ path }) => (path.endsWith('/register') ? 'cut' : undefined);
    expect((await setUp(token)).exitCode).toBe(1);
    expect(await files()).toEqual(['agent.key', 'delegation.jws', 'grant.jws', 'seal.key']);
    coordinator.wire.misbehave = () => undefined;
    expect((await setUp(token)).exitCode).toBe(0);
    expect(await files()).toContain('dc-agent.toml');
  });

  it('in a dry run checks everything, shows what would be written, and changes nothing', async () => {
    const { exitCode, printed } = await setUp(coordinator.grant(), '--dry-run');
    expect(exitCode).toBe(0);
    expect(printed).toContain(`url = "${coordinator.url}"`);
    expect(await files()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
    expect(coordinator.registrations).toEqual([]);
  });

  const thief = SigningKey.fromSeed(new Uint8Array(32).fill(66));
  it.each<[string, () => string, number, string]>([
    ['that is none', () => 'dcs_hello', 2, 'SETUP_TOKEN_INVALID'],
    ['with a typing error', () => coordinator.grant().replace(/.{4}$/, 'AAAA'), 2, 'SETUP_TOKEN_INVALID'],
    ['whose time is over', () => coordinator.grant({ exp: 1 }), 4, 'GRANT_EXPIRED'],
    ['whose grant another provider has signed', () => coordinator.grant({}, thief), 4, 'GRANT_INVALID'],
    [
      'whose grant is for another token',
      () => coordinator.grant({ sub: thief.publicKey }),
      4,
      'GRANT_INVALID',
    ],
  ])('refuses a token %s, and leaves nothing behind', async (_what, makeToken, code, name) => {
    const { exitCode, complained } = await setUp(makeToken());
    expect(complained).toContain(`[${name}]`);
    expect(exitCode).toBe(code);
    expect(await files()).toEqual([]);
    expect(coordinator.registrations).toEqual([]);
  });

  it('refuses a token that another machine has used', async () => {
    const token = coordinator.grant();
    await setUp(token);
    dir = join(await makeDir(), 'etc');
    const { exitCode, complained } = await setUp(token);
    expect(complained).toContain('[GRANT_USED]');
    expect(exitCode).toBe(4);
    expect(await files()).toEqual([]);
  });

  it('does not set up a second agent over the first, and spends no token on it', async () => {
    await setUp(coordinator.grant());
    const { exitCode, complained } = await setUp(coordinator.grant());
    expect(complained).toContain('[AGENT_KEY_TAKEN]');
    expect(exitCode).toBe(4);
    expect(coordinator.registrations).toHaveLength(1);
  });

  it.each<[string, string[], string]>([
    ['a driver that there is not', ['--provisioner', 'lokal'], 'did you mean'],
    ['a directory that cannot be made', ['--state-dir', '/dev/null/state'], '/dev/null/state'],
    ['an address in the clear', ['--coordinator', 'http://coordinator.lan'], 'https'],
  ])('finds %s before it spends the token', async (_what, more, said) => {
    const { exitCode, complained } = await setUp(coordinator.grant(), ...more);
    expect(exitCode).toBe(2);
    if (said !== 'did you mean') expect(complained).toContain(said);
    expect(coordinator.registrations).toEqual([]);
    expect(await files()).toEqual([]);
  });

  it('keeps the keys of another provider’s agent', async () => {
    await setUp(coordinator.grant());
    const other = await SetupCoordinator.start();
    const world = testWorld({ readSecret: () => Promise.resolve(other.grant()) });
    const args = [
      '--coordinator',
      other.url,
      '--output',
      join(dir, 'dc-agent.toml'),
      '--state-dir',
      join(dir, 'state'),
    ];
    expect(await runCli(['setup', 'token', ...args], world)).toBe(2);
    expect(world.complained()).toContain('another provider');
    await other.stop();
  });

  it('asks for the address of the coordinator', async () => {
    const world = testWorld();
    expect(await runCli(['setup', 'token', '--token', 'x'], world)).toBe(2);
    expect(world.complained()).toContain('--coordinator');
  });
});
